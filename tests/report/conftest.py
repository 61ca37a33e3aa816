"""Characters that matplotlib's default font lacks, on any machine."""

from __future__ import annotations

import pytest


def has(path: str, code: int) -> bool:
    from matplotlib.ft2font import FT2Font

    try:
        return FT2Font(path).get_char_index(code) > 0
    except (OSError, RuntimeError):
        return False


@pytest.fixture(scope="session")
def second_font() -> str:
    """A letter that DejaVu Sans lacks and that STIX, another font of matplotlib, has."""
    from matplotlib.font_manager import findfont

    first, second = findfont("DejaVu Sans"), findfont("STIXGeneral")
    return next(
        chr(code)
        for code in range(0x100, 0x20000)
        if chr(code).isalpha() and has(second, code) and not has(first, code)
    )


@pytest.fixture(scope="session")
def no_font() -> str:
    """A character for private use that no installed font has."""
    from matplotlib.font_manager import fontManager

    # The "last resort" font has a box for every character.
    paths = {e.fname for e in fontManager.ttflist if not e.name.startswith("Last")}
    return next(
        chr(code) for code in range(0xE000, 0xF900) if not any(has(path, code) for path in paths)
    )

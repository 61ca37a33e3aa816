"""Finds installed fonts for the characters that DejaVu Sans, the font of the figures, lacks."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cnn_jax.terminal.quiet_loggers import errors_alone

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"  # part of matplotlib

# Fonts that draw a placeholder for every character, and TeX's fonts, whose codes are not Unicode's.
_UNSUITABLE = re.compile(r"last ?resort|blank|nonunicode|^cm[a-z]+\d+$", re.IGNORECASE)
# The families that can draw a character, the best first. A search reads every font file, so that
# its results are kept.
_families: dict[str, tuple[str, ...]] = {}


def can_draw(text: str) -> bool:
    """Whether installed fonts have all characters of the text. Control characters have no glyph."""
    if text.isascii() and text.isprintable():
        return True
    _search(text)
    return all(_families[character] for character in text)


def fallbacks(text: str) -> list[str]:
    """Font families to use after DejaVu Sans: few that together draw what they can of the text."""
    if text.isascii():
        return []
    _search(text)
    missing = [c for c in sorted(set(text)) if _families[c] and FONT not in _families[c]]
    chosen = []
    while missing:
        # One font for as many characters as possible, since fonts differ in size and weight.
        found = Counter(family for character in missing for family in _families[character])
        chosen.append(found.most_common(1)[0][0])
        missing = [c for c in missing if chosen[-1] not in _families[c]]
    return chosen


def quiet() -> contextlib.AbstractContextManager[None]:
    """Silences matplotlib's log about families that lack a regular weight."""
    return errors_alone("matplotlib.font_manager")


def _search(text: str) -> None:
    """Adds the characters of the text to `_families`."""
    new = set(text) - _families.keys()
    found: dict[str, list[str]] = {character: [] for character in new}
    # Control characters and surrogates have no glyph.
    wanted = {c for c in new if unicodedata.category(c) not in ("Cc", "Cs")}
    if wanted:
        with quiet():
            _search_fonts(wanted, found)
    _families.update({character: tuple(families) for character, families in found.items()})


def _search_fonts(wanted: set[str], found: dict[str, list[str]]) -> None:
    from matplotlib import font_manager

    files: dict[str, list[tuple[str, int]]] = {FONT: []}
    for entry in font_manager.fontManager.ttflist:
        if entry.style == "normal" and not _UNSUITABLE.search(entry.name):
            face = getattr(entry, "index", 0)  # matplotlib before 3.11 reads only face 0
            files.setdefault(entry.name, []).append((entry.fname, face))
    for family in sorted(files, key=lambda name: (name != FONT, "sans" not in name.lower(), name)):
        if not any(_drawn(path, face, wanted) for path, face in files[family]):
            continue
        properties = font_manager.FontProperties(family=[family])
        path = font_manager.findfont(properties, fallback_to_default=False)
        for character in _drawn(path, getattr(path, "face_index", 0), wanted):
            found[character].append(family)
        if family == FONT:
            wanted = {character for character in wanted if not found[character]}
            if not wanted:
                return


def _drawn(path: str, face: int, characters: Iterable[str]) -> list[str]:
    """The characters that a font file can draw; none if it cannot be read, such as bitmaps."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path, face_index=face) if face else FT2Font(path)
        return [character for character in characters if _has(font, character)]
    except (OSError, RuntimeError, ValueError):
        return []


def _has(font: FT2Font, character: str) -> bool:
    if not font.get_char_index(ord(character)):
        return False
    if unicodedata.category(character)[0] not in "LNPS":
        return True  # a space or a mark need not have ink
    # Colour fonts have glyphs without an outline, which matplotlib draws as nothing.
    font.set_size(12, 72)
    return font.load_char(ord(character)).width > 0

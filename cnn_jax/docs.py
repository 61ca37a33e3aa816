"""The parts of README and docs/ that the program writes, so that they can't differ from it.

A part stands between `<!-- KIND arguments -->` and `<!-- /KIND -->`:
`results NAME ...` is the table of measured recipes, `volumes NAME` the table of a recipe's layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from cnn_jax import config, listing
from cnn_jax.runs import NAMES
from cnn_jax.volumes import markdown as volumes_markdown

ROOT = Path(__file__).resolve().parents[1]


def _results(names: Sequence[str]) -> str:
    return listing.markdown(names or None)


def _volumes(names: Sequence[str]) -> str:
    (name,) = names
    return volumes_markdown(config.load(name, NAMES).experiment)


KINDS: dict[str, Callable[[Sequence[str]], str]] = {"results": _results, "volumes": _volumes}


def refreshed(text: str) -> str:
    """The text of a page with its generated parts written anew."""

    def written(part: re.Match[str]) -> str:
        return f"{part[1]}\n{KINDS[part[2]](part[3].split())}\n{part[4]}"

    kinds = "|".join(KINDS)
    generated = rf"(<!-- ({kinds})\b(.*?)-->)\n.*?\n(<!-- /\2 -->)"
    return re.sub(generated, written, text, flags=re.DOTALL)


def pages() -> list[Path]:
    """README and the pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def refresh() -> None:
    """Writes the generated parts of every page anew."""
    for page in pages():
        text = page.read_text()
        if refreshed(text) != text:
            page.write_text(refreshed(text))


if __name__ == "__main__":
    refresh()

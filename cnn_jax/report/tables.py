"""Tables for the terminal: as wide as they need to be, plain where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def console() -> Console:
    """Standard output; a pipe or a file gets lines wide enough for every table."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 110)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> Table:
    """A table whose first column is text and whose others are numbers, right-aligned."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for place, name in enumerate(columns):
        made.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def confusion(counts: np.ndarray, classes: Sequence[str]) -> Table:
    """The confusion matrix i[K,K]: a row for each true class, with its accuracy first."""
    short = [name[:5] for name in classes]
    with np.errstate(invalid="ignore"):
        accuracy = counts.diagonal() / counts.sum(1)
    rows = [
        [name, f"{share:.1%}", *(f"{count:,}" if count else "." for count in line)]
        for name, share, line in zip(classes, accuracy, counts, strict=True)
    ]
    return table(["true class", "accuracy", *short], rows)

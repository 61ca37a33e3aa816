"""Tables for the terminal."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text  # a plain string would be parsed as markup

from cnn_jax.report.console import RunConsole

# Columns of a confusion matrix that fit in 110 characters.
MOST_COLUMNS = 12
# Characters for all its column headers together.
LETTERS = 50


def console() -> Console:
    """A console on standard output; for a pipe or a file, wide enough for every table."""
    return RunConsole(width=None if sys.stdout.isatty() else 110)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> Table:
    """A table whose first column is text and whose others are numbers, right-aligned."""
    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for place, name in enumerate(columns):
        made.add_column(Text(name), justify="right" if place else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return made


def per_class(
    classes: Sequence[str],
    counts: np.ndarray,
    precision: np.ndarray,
    recall: np.ndarray,
    f1: np.ndarray,
) -> Table:
    """A row per class: its images, precision, recall and F1; the means last.

    A class without images has no recall, and one that is never predicted has no precision; the
    means leave it out.
    """
    rows = [
        [name, f"{images:,}", *map(_shown, values)]
        for name, images, *values in zip(classes, counts.sum(1), precision, recall, f1, strict=True)
    ]
    means = [_shown(np.mean(values[~np.isnan(values)])) for values in (precision, recall, f1)]
    rows.append(["mean of classes", "", *means])
    return table(["class", "images", "precision", "recall", "F1"], rows)


def _shown(share: float) -> str:
    return "." if np.isnan(share) else f"{share:.1%}"


def confusion(counts: np.ndarray, classes: Sequence[str]) -> Table:
    """The confusion matrix i[K,K]: a row per true class, with its accuracy first.

    If there are too many classes for a line, a row shows only the most frequent wrong prediction.
    """
    with np.errstate(invalid="ignore"):
        accuracy = counts.diagonal() / counts.sum(1)
    rows = [[name, _shown(share)] for name, share in zip(classes, accuracy, strict=True)]
    if len(classes) <= MOST_COLUMNS:
        for row, line in zip(rows, counts, strict=True):
            row += [f"{count:,}" if count else "." for count in line]
        letters = max(5, LETTERS // len(classes))
        return table(["true class", "accuracy", *(name[:letters] for name in classes)], rows)
    wrong = counts - np.diag(counts.diagonal())
    for row, line in zip(rows, wrong, strict=True):
        row += [classes[line.argmax()], f"{line.max():,}"] if line.any() else [".", "."]
    return table(["true class", "accuracy", "predicted as", "times"], rows)

"""Tables for the terminal."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text  # a plain string would be parsed as markup

from cnn_jax.report import class_names, confused_pairs
from cnn_jax.report.names import shorten
from cnn_jax.terminal.console import RunConsole

WIDTH = 110  # characters of a line
PIPE = 160  # characters of a line that no terminal shows
MOST_COLUMNS = 12  # predicted classes with a column each
NAME = 40  # characters of the longest class name in a row
LEAST = 12  # characters that row names have beside a confusion matrix
LOWEST = 20  # classes in the table per class if there are too many to list
_GAP = 3  # characters between the columns of `table`


def console() -> Console:
    """A console on standard output; for a pipe or a file, wide enough for every table."""
    return RunConsole(width=None if sys.stdout.isatty() else PIPE)


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

    The means are over the classes with images. There, the precision of a class that is never
    predicted counts as 0, as in scikit-learn's macro average with `zero_division=0`. Of more than
    100 classes, only the 20 with the lowest F1 have a row.

    Args:
      classes: K names.
      counts: i[K,K], images by true class (row) and predicted class (column).
      precision: f[K]; NaN for a class that is never predicted.
      recall: f[K]; NaN for a class without images.
      f1: f[K].
    """
    images = counts.sum(1)
    seen = np.flatnonzero(images)
    listed, title, mean = np.arange(len(classes)), "", "mean of classes"
    if len(classes) > class_names.MOST_LISTED:
        listed = seen[np.argsort(f1[seen], kind="stable")][:LOWEST]
        title = (
            f"The {len(listed)} classes with the lowest F1, of {len(classes):,}; "
            "evaluation.json has all"
        )
        mean = "mean of all classes"
    if len(seen) < len(classes):
        mean = "mean of classes with images"
    names = shorten(class_names.in_tables(classes), NAME, range(len(classes)))
    rows = [
        [names[i], f"{images[i]:,}", *(_shown(values[i]) for values in (precision, recall, f1))]
        for i in listed
    ]
    never = np.isnan(precision[seen])
    means = [np.where(never, 0, precision[seen]), recall[seen], f1[seen]]
    rows.append([mean, "", *(_shown(np.mean(values)) for values in means if len(seen))])
    made = table(["class", "images", "precision", "recall", "F1"], rows, title)
    if never.any():
        made.caption = 'A precision of "." (never predicted) counts as 0 in the mean.'
        made.caption_justify = "left"
    return made


def _shown(share: float) -> str:
    return "." if np.isnan(share) else f"{share:.1%}"


def confusion(counts: np.ndarray, classes: Sequence[str]) -> Table:
    """The confusion matrix i[K,K]: a row per true class, with its accuracy first.

    If there are too many classes for a line, a row shows only the most frequent wrong prediction.
    Of more than 100 classes, the table lists the 30 pairs that are most often confused.
    """
    if len(classes) > class_names.MOST_LISTED:
        return _pairs(counts, classes)
    with np.errstate(invalid="ignore"):
        accuracy = counts.diagonal() / counts.sum(1)
    names = class_names.in_tables(classes)
    short = shorten(names, NAME, range(len(names)))
    columns, cells = _columns(counts, names)
    used = sum(_GAP + max(map(cell_len, column)) for column in zip(columns, *cells, strict=True))
    room = WIDTH - 2 - len("accuracy") - _GAP - used  # a space on either side
    longest = max(map(cell_len, ["true class", *short]))
    if len(classes) <= MOST_COLUMNS and room >= min(LEAST, longest):
        short = shorten(names, min(room, NAME), range(len(names)))
    else:
        columns, wrong = ["predicted as", "times"], counts - np.diag(counts.diagonal())
        cells = [
            [short[line.argmax()], f"{line.max():,}"] if line.any() else [".", "."]
            for line in wrong
        ]
    rows = [
        [name, _shown(share), *line]
        for name, share, line in zip(short, accuracy, cells, strict=True)
    ]
    return table(["true class", "accuracy", *columns], rows)


def _columns(counts: np.ndarray, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The headers and cells of a matrix's columns, so that row names of 12 characters fit too."""
    room = WIDTH - 2 - LEAST - _GAP - len("accuracy")
    headers = shorten(names, max(4, room // len(names) - _GAP), range(len(names)))
    return headers, [[f"{count:,}" if count else "." for count in line] for line in counts]


def _pairs(counts: np.ndarray, classes: Sequence[str]) -> Table:
    pairs = confused_pairs.most_confused(counts)
    names = shorten(class_names.in_tables(classes), NAME, range(len(classes)))
    rows = [
        [names[pair.true], names[pair.predicted], f"{pair.images:,}", _shown(pair.share)]
        for pair in pairs
    ]
    columns = ["true class", "predicted as", "times", "of the class"]
    return table(columns, rows, confused_pairs.description(counts))

"""Predictions, and their formats: text, JSON Lines and CSV."""

import csv
import dataclasses
import io
import itertools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from cnn_jax.report.names import shorten
from cnn_jax.storage.files import named

# Columns of a file's name in a caption.
CAPTION = 18


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """A net's prediction for one image file.

    Attributes:
      path: The file.
      image: u8[H,W,C], the image as the net saw it; None if it cannot be read.
      classes: The top classes, best first.
      values: Their probabilities or scores.
      measure: "probability", or "score" if the loss gives no probabilities.
      error: Why the file cannot be read; "" if it can.
    """

    path: Path
    image: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    measure: str = "probability"
    error: str = ""

    @property
    def name(self) -> str:
        """The file's path with unprintable characters replaced."""
        return printable(str(self.path))

    def row(self) -> dict[str, Any]:
        """The row in JSON: {"file", "class", "probability", "top"} or {"file", "error"}."""
        if self.error:
            return {"file": str(self.path), "error": self.error}
        top = [
            {"class": name, self.measure: value}
            for name, value in zip(self.classes, self.values, strict=True)
        ]
        return {"file": str(self.path), **top[0], "top": top}


def short_names(paths: Sequence[Path]) -> list[str]:
    """Short printable file names for captions, all different; with folders if names are equal."""
    names = [path.name for path in paths]
    if len(set(names)) < len(set(paths)):
        names = [f"{path.parent.name}/{path.name}" for path in paths]
    return shorten([printable(name) for name in names], CAPTION, paths)


def printable(text: str) -> str:
    """A text with its unprintable characters replaced."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def column_widths(names: Sequence[str], classes: Sequence[str], top: int) -> list[int]:
    """Widths of the columns of `to_text` that hold any prediction of these files and classes."""
    value = len("-1.23e+05")
    return [max(map(len, names)), *[max(map(len, classes)) + 1 + value] * top]


def to_text(predictions: Sequence[Prediction], widths: Sequence[int]) -> str:
    """One line per image: its file, then its top classes with their values, in columns."""
    lines = []
    for prediction in predictions:
        form = "{} {:.1%}" if prediction.measure == "probability" else "{} {:.3g}"
        row = [prediction.name, *map(form.format, prediction.classes, prediction.values)]
        lines.append("  ".join(map(str.ljust, row, widths)).rstrip())
    return "\n".join(lines)


class PredictionsFile:
    """A file of predictions, one row per image, written as they are made.

    A `.jsonl` has a `Prediction.row` on each line; a `.csv` the columns file, error, class_1,
    probability_1, class_2, ... in every row, empty if the image cannot be read. Rows that were
    written stay if the program is stopped. Used as a context manager.

    Args:
      path: The file, which is replaced; its suffix is one of `FORMS`.
      top: Number of classes in a row.
      measure: What the values are, as in `Prediction`.
    """

    def __init__(self, path: str | os.PathLike[str], top: int, measure: str):
        self._lines = FORMS[Path(path).suffix](top, measure)
        self._path = Path(path)

    def __enter__(self) -> Self:
        self._file = open(self._path, "w", errors="surrogateescape", newline="")
        self.write([])
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Appends a row for each prediction."""
        with named(self._path):
            self._file.write(self._lines(predictions))
            self._file.flush()


Lines = Callable[[Iterable[Prediction]], str]


def _jsonl(top: int, measure: str) -> Lines:
    return lambda predictions: "".join(
        json.dumps(prediction.row()) + "\n" for prediction in predictions
    )


def _csv(top: int, measure: str) -> Lines:
    columns = [f"{name}_{rank}" for rank in range(1, top + 1) for name in ("class", measure)]
    header: list[list[Any]] = [["file", "error", *columns]]

    def lines(predictions: Iterable[Prediction]) -> str:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerows(header)
        header.clear()
        for prediction in predictions:
            cells = [*itertools.chain(*zip(prediction.classes, prediction.values, strict=True))]
            empty = [""] * (len(columns) - len(cells))
            rows.writerow([prediction.path, prediction.error, *cells, *empty])
        return text.getvalue()

    return lines


# Formats by file suffix.
FORMS = {".jsonl": _jsonl, ".csv": _csv}

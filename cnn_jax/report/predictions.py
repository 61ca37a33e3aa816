"""Predictions, and their formats: text, JSON Lines and CSV."""

import csv
import dataclasses
import io
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.storage.files import write_atomically


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
        return _printable(str(self.path))

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
    """Short printable file names for captions; with their folders if some are equal."""
    names = [path.name for path in paths]
    if len(set(names)) < len(set(paths)):
        names = [f"{path.parent.name}/{path.name}" for path in paths]
    return [shortened(_printable(name), 18) for name in names]


def shortened(text: str, most: int) -> str:
    """Cuts a text in the middle to at most `most` characters; the last five stay."""
    return text if len(text) <= most else f"{text[: most - 8]}...{text[-5:]}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def to_text(predictions: Sequence[Prediction]) -> str:
    """One line per image: its file, then its top classes with their values, in columns."""
    rows = []
    for prediction in predictions:
        form = "{} {:.1%}" if prediction.measure == "probability" else "{} {:.3g}"
        rows.append([prediction.name, *map(form.format, prediction.classes, prediction.values)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def write(predictions: Sequence[Prediction], path: str | os.PathLike[str]) -> None:
    """Writes one row per image atomically, in the format of the file's suffix.

    `.jsonl` has a `Prediction.row` on each line; `.csv` the columns file, error, class_1,
    probability_1, class_2, ... in every row, empty if the image cannot be read.
    """
    text = FORMS[Path(path).suffix](predictions)
    write_atomically(Path(path), text.encode(errors="surrogateescape"))


def _jsonl(predictions: Sequence[Prediction]) -> str:
    return "".join(json.dumps(prediction.row()) + "\n" for prediction in predictions)


def _csv(predictions: Sequence[Prediction]) -> str:
    most = max(predictions, key=lambda prediction: len(prediction.classes))
    ranked = range(1, len(most.classes) + 1)
    columns = [f"{name}_{rank}" for rank in ranked for name in ("class", most.measure)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "error", *columns])
    for prediction in predictions:
        cells = [*itertools.chain(*zip(prediction.classes, prediction.values, strict=True))]
        empty = [""] * (len(columns) - len(cells))
        rows.writerow([prediction.path, prediction.error, *cells, *empty])
    return text.getvalue()


# Formats by file suffix.
FORMS = {".jsonl": _jsonl, ".csv": _csv}

"""Draws the most confident errors of a net: wrongly classified images with both classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len

from cnn_jax.data.dataset import Images
from cnn_jax.report import class_names, contact_sheet, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 36  # six rows of six
LINE = 19  # columns of a caption's line


def most_confident(values: np.ndarray, labels: np.ndarray, most: int = MOST) -> np.ndarray:
    """Returns the misclassified examples, most confident first: f[N,K], i[N] -> i[at most `most`].

    The confidence of an error is the predicted class's probability (or score, if the loss gives no
    probabilities) minus the true class's.
    """
    predicted, true = values.max(1), values[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(values.argmax(1) != labels)
    return wrong[np.argsort(true[wrong] - predicted[wrong], kind="stable")][:most]


def confident_errors(
    images: Images,
    labels: np.ndarray,
    values: np.ndarray,
    classes: Sequence[str],
    probable: bool,
    path: str | os.PathLike[str],
) -> bool:
    """Draws the 36 most confident errors.

    Args:
      images: u8[N,H,W,C].
      labels: i[N].
      values: f[N,K], probabilities or scores.
      classes: K names.
      probable: Whether `values` are probabilities.
      path: The PNG file.

    Returns:
      False, with nothing written, if there is no error.
    """
    return figure_style.save(
        path, build_confident_errors, images, labels, values, classes, probable
    )


def build_confident_errors(
    images: Images,
    labels: np.ndarray,
    values: np.ndarray,
    classes: Sequence[str],
    probable: bool,
) -> Figure | None:
    """The figure of `confident_errors`, in matplotlib's current style."""
    wrong = int((values.argmax(1) != labels).sum())
    shown = most_confident(values, labels)
    form = "{:.0%}" if probable else "{:.3g}"
    numbers = np.concatenate([values[shown].argmax(1), labels[shown]])
    used = [classes[number] for number in np.unique(numbers)]
    names = contact_sheet.short_classes(used, classes)

    def line(example: int, number: int) -> str:
        return f"{names[classes[number]]} {form.format(values[example, number])}"

    predicted = [line(example, values[example].argmax()) for example in shown]
    true = [line(example, labels[example]) for example in shown]
    # The title names the order of the lines, too.
    prefix = "true: " if all(cell_len(text) <= LINE - 6 for text in true) else ""
    captions = [f"{above}\n{prefix}{below}" for above, below in zip(predicted, true, strict=True)]
    count = (
        f"The {len(shown)} most confident of {wrong:,} errors" if len(shown) < wrong else "Errors"
    )
    kind = "probability" if probable else "score"
    title = f"{count}: predicted class, true class, and the {kind} of each"
    if note := class_names.note(used, classes):
        title = f"{title}\n{note}"
    return contact_sheet.build_sheet([images[example] for example in shown], captions, title)

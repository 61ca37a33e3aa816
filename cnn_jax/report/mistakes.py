"""The mistakes that a net is surest of, as one picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.report import contact_sheet, page
from cnn_jax.report.predictions import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 36  # six rows of six


def worst(values: np.ndarray, labels: np.ndarray, most: int = MOST) -> np.ndarray:
    """The examples given another class than theirs, the surest first: f[N,K], i[N] -> i[at most M].

    How sure the net is of a mistake is by how much the class it gives exceeds the right one, in
    probability, or in score where there are no probabilities.
    """
    given, own = values.max(1), values[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(values.argmax(1) != labels)
    return wrong[np.argsort(own[wrong] - given[wrong], kind="stable")][:most]


def mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    values: np.ndarray,
    classes: Sequence[str],
    probable: bool,
    path: str | os.PathLike[str],
) -> bool:
    """Draws the 36 mistakes that the net is surest of.

    Args:
      images: u8[N,H,W,C].
      labels: i[N].
      values: f[N,K], probabilities or scores.
      classes: K names.
      probable: Whether `values` are probabilities.
      path: The PNG file.

    Returns:
      False, with nothing written, if there is no mistake.
    """
    return page.save(path, build_mistakes, images, labels, values, classes, probable)


def build_mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    values: np.ndarray,
    classes: Sequence[str],
    probable: bool,
) -> Figure | None:
    """The figure of `mistakes`, in matplotlib's current style."""
    wrong = int((values.argmax(1) != labels).sum())
    shown = worst(values, labels)
    form = "{:.0%}" if probable else "{:.3g}"

    def line(example: int, number: int) -> str:
        return f"{shortened(classes[number], 14)} {form.format(values[example, number])}"

    captions = [
        f"{line(example, values[example].argmax())}\nis {line(example, labels[example])}"
        for example in shown
    ]
    count = f"The {len(shown)} surest of {wrong:,} mistakes" if len(shown) < wrong else "Mistakes"
    kind = "probability" if probable else "score"
    title = f"{count}: the class given, then the right one, with the {kind} of each"
    return contact_sheet.build_sheet([images[example] for example in shown], captions, title)

"""Draws confusions: a matrix of up to 100 classes, else the most confused pairs of classes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.report import class_names, colours, confused_pairs, figure_style
from cnn_jax.report.names import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ON_AXES = 100  # classes; more have cells too small to see
NAME = 22  # columns of a class name
ARROW = "\u2192"


@dataclasses.dataclass(frozen=True, eq=False)
class ConfusionPicture:
    """A drawn confusion matrix in which cells can be found.

    Attributes:
      picture: u8[h,w,3].
      matrix: Where the matrix is in the picture, in pixels: top, bottom, left, right; None if
        pairs of classes are drawn instead.
      classes: Number of classes.
    """

    picture: np.ndarray
    matrix: tuple[float, float, float, float] | None
    classes: int

    def cell(self, x: int, y: int) -> tuple[int, int] | None:
        """The true and the predicted class at a pixel; None outside the matrix."""
        if self.matrix is None:
            return None
        top, bottom, left, right = self.matrix
        row = math.floor((y - top) / (bottom - top) * self.classes)
        column = math.floor((x - left) / (right - left) * self.classes)
        inside = 0 <= row < self.classes and 0 <= column < self.classes
        return (row, column) if inside else None


def confusion_picture(
    counts: np.ndarray, classes: Sequence[str], title: str = ""
) -> ConfusionPicture:
    """Draws `figures.confusion_matrix`, whose arguments these are, as a picture.

    Raises:
      ValueError: `counts` is not K x K, or has no image.
    """
    made: list[Figure | None] = []

    def build(*args: Any) -> Figure | None:
        made.append(build_confusion_matrix(*args))
        return made[-1]

    picture = figure_style.picture(build, counts, classes, title)
    if picture is None or made[-1] is None:
        raise ValueError("counts has no image")
    height, width, _ = picture.shape
    place = made[-1].axes[0].get_position()  # fractions of the figure, from below
    matrix = ((1 - place.y1) * height, (1 - place.y0) * height, place.x0 * width, place.x1 * width)
    k = len(classes)
    return ConfusionPicture(picture, None if k > MOST_ON_AXES else matrix, k)


def build_confusion_matrix(
    counts: np.ndarray, classes: Sequence[str], title: str = ""
) -> Figure | None:
    """The figure of `figures.confusion_matrix`, in matplotlib's current style."""
    counts, k = np.asarray(counts), len(classes)
    if counts.shape != (k, k):
        raise ValueError(f"counts must be {k} x {k}, one row per class, got shape {counts.shape}")
    total = counts.sum()
    if not total:
        return None
    lines = [f"{100 * np.trace(counts) / total:.2f} % of {total:,} images correct"]
    if title:
        lines[0] = f"{class_names.drawn(title)}: {lines[0]}"
    if k > MOST_ON_AXES:
        figure, explained = _pairs(counts, classes)
    else:
        figure, explained = _matrix(counts, classes)
    figure.suptitle("\n".join([*lines, *filter(None, explained)]), parse_math=False)
    return figure


def _matrix(counts: np.ndarray, classes: Sequence[str]) -> tuple[Figure, list[str]]:
    """The matrix in per cent of each true class; and lines that explain it."""
    from matplotlib.colors import PowerNorm

    k = len(classes)
    images = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100.0 * counts, images, out=np.full((k, k), np.nan), where=images > 0)
    figure = figure_style.figure(6.0)
    axes, side = figure.subplots(1, 2, width_ratios=(5, 1))
    # A square-root scale, since errors of a few per cent would be invisible beside the diagonal.
    image = axes.imshow(percent, cmap="Blues", norm=PowerNorm(0.5, 0, 100), aspect="auto")
    if k <= 20:
        for row, column in np.argwhere(counts > 0):
            value = percent[row, column]
            text = f"{value:.1f}" if k <= 10 else f"{value:.0f}"
            colour = "white" if value > 40 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    accuracy = np.diag(percent)
    side.barh(np.arange(k), np.nan_to_num(accuracy), color=colours.BLUE, height=0.75)
    side.set(xlim=(0, 100), ylim=axes.get_ylim(), xlabel="Accuracy (%)", yticks=[])
    axes.set(xlabel="Predicted class", ylabel="True class")
    if k <= class_names.MOST_NAMED:
        _write_names(axes, shorten(class_names.in_figures(classes), NAME, range(k)))
        return figure, [class_names.note(classes, classes)]
    _write_numbers(axes, k)
    bar = figure.colorbar(image, ax=[axes, side], aspect=40, ticks=[0, 1, 5, 10, 25, 50, 75, 100])
    bar.set_label("Images of the true class (%)")
    return figure, ["#N: class N in the tables of --mode=evaluate"]


def _write_names(axes: Axes, names: Sequence[str]) -> None:
    slanted = len(names) <= 12
    plain = {"parse_math": False}  # class names may contain $
    axes.set_xticks(np.arange(len(names)), names, rotation=45 if slanted else 90, **plain)
    for label in axes.get_xticklabels() if slanted else ():
        label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(names)), names, **plain)


def _write_numbers(axes: Axes, k: int) -> None:
    """Numbers every fifth class, and marks each."""
    for axis in (axes.xaxis, axes.yaxis):
        fifths = np.arange(0, k, 5)
        axis.set_ticks(fifths, [f"#{number}" for number in fifths])
        axis.set_ticks(np.arange(k), minor=True)
    axes.tick_params(axis="x", rotation=90)


def _pairs(counts: np.ndarray, classes: Sequence[str]) -> tuple[Figure, list[str]]:
    """The most confused pairs as bars; and lines that explain them."""
    from matplotlib.ticker import MaxNLocator

    pairs = confused_pairs.most_confused(counts)
    figure = figure_style.figure(1.1 + 0.2 * max(len(pairs), 3))
    axes = figure.subplots()
    shown = sorted({number for pair in pairs for number in (pair.true, pair.predicted)})
    used = [classes[number] for number in shown]
    short = shorten([class_names.drawn(name, classes) for name in used], NAME, shown)
    names = dict(zip(shown, short, strict=True))
    places = np.arange(len(pairs))
    bars = axes.barh(places, [pair.images for pair in pairs], color=colours.BLUE, height=0.75)
    labels = [f"{pair.images:,} ({100 * pair.share:.1f} %)" for pair in pairs]
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set_yticks(
        places,
        [f"{names[pair.true]} {ARROW} {names[pair.predicted]}" for pair in pairs],
        parse_math=False,
    )
    axes.set(xlabel="Images (share of the true class)", ylim=(max(len(pairs), 1) - 0.4, -0.6))
    axes.set_xlim(0, 1.2 * max((pair.images for pair in pairs), default=1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    line = confused_pairs.description(counts)
    if pairs:
        line += f": true class {ARROW} predicted class"
    return figure, [line, class_names.note(used, classes)]

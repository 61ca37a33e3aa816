"""Draws a run's figures as PNG files: learning curves, confusion matrix, first-layer filters.

Each public function draws one file and returns whether there was anything to draw.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.errors import shape_text
from cnn_jax.report import colours, figure_style
from cnn_jax.report.confusion_figure import build_confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A marker per split: the lines differ without colour too.
_SPLITS = {
    "train": (colours.BLUE, "o"),
    "validation": (colours.VERMILLION, "s"),
    "test": ("#000000", "D"),
}


def learning_curves(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> bool:
    """Draws loss and accuracy against the epoch: train, validation and the final test.

    Args:
      rows: The dicts of `metrics.jsonl`: "epoch", "split", "loss", "accuracy" (a fraction).
      path: The PNG file.

    Returns:
      False, with nothing written, if no row holds a loss or an accuracy.
    """
    return figure_style.save(path, build_learning_curves, rows)


def confusion_matrix(
    counts: np.ndarray, classes: Sequence[str], path: str | os.PathLike[str], title: str = ""
) -> bool:
    """Draws the confusion matrix in per cent of each true class.

    Up to 20 classes have their percentages in the cells. From 31 to 100 classes, numbers stand for
    the names, and a bar explains the colours. Of more than 100 classes, the figure shows the 30
    pairs that are most often confused instead of the matrix.

    Args:
      counts: i[K,K], images by true class (row) and predicted class (column).
      classes: K names.
      path: The PNG file.
      title: Text before the accuracy, such as "Test".

    Returns:
      False, with nothing written, if no image was counted.

    Raises:
      ValueError: If `counts` is not K x K.
    """
    return figure_style.save(path, build_confusion_matrix, counts, classes, title)


def first_layer_filters(kernel: np.ndarray, path: str | os.PathLike[str]) -> bool:
    """Draws the filters of a first convolution, each scaled separately; zero is mid-grey.

    Args:
      kernel: f[h,w,c,F] with c = 3 (drawn in colour) or 1 (in grey); the first 256 are drawn.
      path: The PNG file.

    Returns:
      False, with nothing written, if the kernel has another shape, or contains NaN or infinity.
    """
    return figure_style.save(path, build_first_layer_filters, kernel)


def build_learning_curves(rows: Sequence[Mapping[str, Any]]) -> Figure | None:
    """The figure of `learning_curves`, in matplotlib's current style."""
    from matplotlib.ticker import MaxNLocator

    drawn = [_points(rows, split, key) for split in _SPLITS for key in ("loss", "accuracy")]
    if not any(drawn):
        return None
    last = max(points[-1][0] for points in drawn if points)
    figure = figure_style.figure(4.6)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, key in zip(panels, ("loss", "accuracy"), strict=True):
        scale = 100.0 if key == "accuracy" else 1.0
        ends = []
        for split, (colour, marker) in _SPLITS.items():
            points = _points(rows, split, key)[-1 if split == "test" else 0 :]
            if not points:
                continue
            x, y = [p[0] for p in points], [p[1] * scale for p in points]
            axes.plot(
                x,
                y,
                color=colour,
                marker=marker,
                clip_on=False,
                zorder=3,
                markersize=6 if split == "test" else 3.5 if len(points) <= 40 else 0,
                markerfacecolor="none" if split == "test" else colour,
            )
            shown = f"{y[-1]:.1f} %" if key == "accuracy" else f"{y[-1]:.3f}"
            ends.append((x[-1], y[-1], f"{split} {shown}", colour))
        axes.set_ylabel("Accuracy (%)" if key == "accuracy" else "Loss")
        axes.set_xlim(0, max(last, 1))
        axes.margins(y=0.08)
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _label_line_ends(figure, axes, ends)
    panels[-1].set_xlabel("Epoch")
    return figure


def _points(rows: Sequence[Mapping[str, Any]], split: str, key: str) -> list[tuple[float, float]]:
    """(epoch, value) of one curve, without rows that have no finite value."""
    return sorted(
        (float(row["epoch"]), float(row[key]))
        for row in rows
        if row.get("split") == split
        and row.get("epoch") is not None
        and row.get(key) is not None
        and np.isfinite(row[key])
    )


def _label_line_ends(figure: Figure, axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Writes each line's name and last value at its right end, moved apart where two overlap."""
    gap = 13.0  # points
    figure.draw_without_rendering()
    ends = sorted(ends, key=lambda end: end[1])
    heights = [axes.transData.transform((x, y))[1] * 72 / figure.dpi for x, y, _, _ in ends]
    places = list(heights)
    for _ in range(20):
        for i in range(1, len(places)):
            overlap = max(0.0, places[i - 1] + gap - places[i])
            places[i - 1] -= overlap / 2
            places[i] += overlap / 2
    for (_, y, text, colour), height, place in zip(ends, heights, places, strict=True):
        axes.annotate(
            text,
            (1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(10, place - height),
            textcoords="offset points",
            va="center",
            color=colour,
            annotation_clip=False,
        )


def build_first_layer_filters(kernel: np.ndarray) -> Figure | None:
    """The figure of `first_layer_filters`, in matplotlib's current style."""
    kernel = np.asarray(kernel, np.float32)
    if kernel.ndim != 4 or kernel.shape[2] not in (1, 3) or not np.isfinite(kernel).all():
        return None
    height, width, _, number = kernel.shape
    filters = np.moveaxis(kernel, 3, 0)[:256]
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    filters = 0.5 + 0.5 * filters / np.where(largest > 0, largest, 1)
    columns = min(len(filters), 8 if len(filters) <= 32 else 16)
    rows = -(-len(filters) // columns)
    # One image of all filters with white gaps: 256 axes would take seconds to lay out.
    zoom = max(1, 60 // max(height, width))
    cell_height, cell_width = height * zoom + 6, width * zoom + 6
    mosaic = np.ones((rows * cell_height, columns * cell_width, 3), np.float32)
    for i, image in enumerate(filters):
        top, left = i // columns * cell_height, i % columns * cell_width
        enlarged = image.repeat(zoom, axis=0).repeat(zoom, axis=1)
        mosaic[top : top + height * zoom, left : left + width * zoom] = enlarged
    figure = figure_style.figure(
        0.4 + min(figure_style.WIDTH / columns, 0.9) * rows * cell_height / cell_width
    )
    axes = figure.subplots()
    axes.imshow(mosaic, interpolation="nearest")
    axes.set_axis_off()
    shown = f"{number} filters" if number <= 256 else f"The first 256 of {number} filters"
    shape = shape_text(kernel.shape[:3])
    figure.suptitle(f"{shown} of {shape}, each scaled separately; mid-grey is zero")
    return figure

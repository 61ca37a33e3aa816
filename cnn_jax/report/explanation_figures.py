"""Draws explanations of predictions: the activations of a net, and attribution maps of pixels.

Each public function draws one PNG file.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len

from cnn_jax.errors import shape_text
from cnn_jax.report import class_names, colours, figure_style, heat_picture
from cnn_jax.report.names import shorten
from cnn_jax.report.predictions import CAPTION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANNELS = 14  # channels of a volume in a row
MOST_VOLUMES = 15  # rows on a page
PAIRS = 3  # pairs of image and map in a row
CELL = 64  # height and width of a channel, in pixels
GAP = 8  # pixels between channels
PAGE = 70  # columns of a line of the page, at the size of a title
LINE = 34  # columns of a caption's line above a pair, at 8 points
CLASS = 16  # columns of a class name in a caption
RIGHT, WRONG = "black", "#B34700"


@dataclasses.dataclass(frozen=True, eq=False)
class Explained:
    """An image and its prediction.

    Attributes:
      image: u8[H,W,C].
      name: Name of the image.
      predicted: The top class with its value, such as "cat 87 %".
      truth: The true class with its value; "" if unknown.
      correct: Whether the two classes are equal.
      best: The top classes and their values, best first.
      measure: "probability", or "score" if the loss gives no probabilities.
    """

    image: np.ndarray
    name: str
    predicted: str
    truth: str
    correct: bool
    best: tuple[tuple[str, float], ...]
    measure: str = "probability"

    @property
    def caption(self) -> str:
        """Two lines, or one if the true class is unknown."""
        second = "correct" if self.correct else f"true class: {self.truth}"
        return f"{self.name}: {self.predicted}" + (f"\n{second}" if self.truth else "")


def activations(
    explained: Explained,
    volumes: Sequence[tuple[str, np.ndarray]],
    path: str | os.PathLike[str],
    classes: Sequence[str] = (),
) -> bool:
    """Draws an image, its top classes, and one row of channels per volume of the net.

    A row shows the first 14 channels, on one scale from their smallest value (black) to their
    largest (white).

    Args:
      explained: The image.
      volumes: Name and activations f[H,W,C] of each volume, at most 15.
      path: The PNG file.
      classes: The K names of the classes: a name that no installed font can draw is replaced by
        its number.

    Returns:
      False, with nothing written, if there is no volume.
    """
    return figure_style.save(path, build_activations, explained, volumes, classes)


def heat_maps(
    explained: Sequence[Explained],
    heat: np.ndarray,
    path: str | os.PathLike[str],
    title: str,
    *,
    over: bool = False,
    classes: Sequence[str] = (),
) -> bool:
    """Draws images with their attribution maps beside them, in rows of three pairs.

    Args:
      explained: The images.
      heat: f[N,H,W], not negative; each map is scaled separately, from 0 to its 99th percentile.
      path: The PNG file.
      title: Title of the figure.
      over: Whether to overlay the map on its image, instead of on black.
      classes: As for `activations`.

    Returns:
      False, with nothing written, if there is no image.
    """
    return figure_style.save(path, build_heat_maps, explained, heat, title, over, classes)


def build_activations(
    explained: Explained,
    volumes: Sequence[tuple[str, np.ndarray]],
    classes: Sequence[str] = (),
) -> Figure | None:
    """The figure of `activations`, in matplotlib's current style."""
    if not volumes:
        return None
    height = 0.45 * len(volumes)
    figure = figure_style.figure(1.9 + height)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.9, height))
    top, bottom = parts[:, 0]
    ((image_name, *facts),), note = _captions([explained], classes)
    title = f"{image_name}: {', '.join(facts)}"
    if cell_len(title) > PAGE:
        title = f"{image_name}: " + "\n".join(facts)
    top.suptitle("\n".join(filter(None, [title, note])), parse_math=False)
    image, bars = top.subplots(1, 2, width_ratios=(1, 2.2))
    _show(image, explained.image)
    names, values = zip(*explained.best, strict=True)
    short = shorten([class_names.drawn(name, classes) for name in names], CLASS, names)
    bars.barh(range(len(names)), values, color=colours.BLUE, height=0.7)
    bars.set_yticks(range(len(names)), short, parse_math=False)
    bars.invert_yaxis()
    bars.set_xlabel(f"{explained.measure} of the top classes")
    if explained.measure == "probability":
        bars.set_xlim(0, 1)
    # One image of all rows: axes for each would take seconds to lay out.
    axes = bottom.subplots()
    axes.set_anchor("NW")  # the layout leaves room for the labels beside this edge
    rows = np.concatenate([_row(volume) for _, volume in volumes])
    axes.imshow(rows, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_yticks(
        [(CELL + GAP) * number + CELL / 2 for number in range(len(volumes))],
        [f"{name}\n{shape_text(volume.shape)}" for name, volume in volumes],
        fontsize=8,
        parse_math=False,
    )
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def build_heat_maps(
    explained: Sequence[Explained],
    heat: np.ndarray,
    title: str,
    over: bool,
    classes: Sequence[str] = (),
) -> Figure | None:
    """The figure of `heat_maps`, in matplotlib's current style."""
    if not explained:
        return None
    rows = math.ceil(len(explained) / PAIRS)
    figure = figure_style.figure(0.4 + 1.5 * rows)
    captions, note = _captions(explained, classes)
    figure.suptitle("\n".join(filter(None, [title, note])), parse_math=False)
    wide = any(cell_len(f"{name}: {predicted}") > LINE for name, predicted, *_ in captions)
    cells = figure.subfigures(rows, PAIRS, squeeze=False)
    for cell, one, caption, one_map in zip(cells.flat, explained, captions, heat, strict=False):
        left, right = cell.subplots(1, 2)
        colour = WRONG if one.truth and not one.correct else RIGHT
        name, *facts = caption
        text = "\n".join(caption if wide else [f"{name}: {facts[0]}", *facts[1:]])
        cell.suptitle(text, fontsize=8, color=colour, parse_math=False)
        _show(left, one.image)
        strength = heat_picture.strength(one_map)
        if over:
            _show(right, one.image.astype(np.float32).mean(-1))
        right.imshow(
            strength,
            cmap=heat_picture.MAP,
            vmin=0,
            vmax=1,
            alpha=heat_picture.opacity(strength) if over else None,
        )
        right.set_axis_off()
        if not one_map.any():  # Grad-CAM without positive evidence
            middle = {"ha": "center", "va": "center", "transform": right.transAxes}
            right.text(0.5, 0.5, "all zero", fontsize=8, color=WRONG, **middle)
    return figure


def _captions(
    explained: Sequence[Explained], classes: Sequence[str]
) -> tuple[list[list[str]], str]:
    """The name, the prediction and the truth (if known) of each image, and a note on the names."""
    long = [one.name for one in explained]
    images = shorten([class_names.drawn(name) for name in long], CAPTION, long)
    # Such as ("cat", " ", "87.0%").
    parted = [text.rpartition(" ") for one in explained for text in (one.predicted, one.truth)]
    used = list(dict.fromkeys(name for name, *_ in parted))
    short = shorten([class_names.drawn(name, classes) for name in used], CLASS, used)
    names = dict(zip(used, short, strict=True))
    texts = [names[name] + space + value for name, space, value in parted]
    captions = [[image, predicted] for image, predicted in zip(images, texts[::2], strict=True)]
    for caption, one, truth in zip(captions, explained, texts[1::2], strict=True):
        if one.truth:
            caption.append("correct" if one.correct else f"true class: {truth}")
    return captions, class_names.note([*used, *long], classes)


def _show(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()


def _row(volume: np.ndarray) -> np.ndarray:
    """The first channels of a volume f[H,W,C] side by side, jointly scaled to 0..1, on white."""
    slices = np.moveaxis(volume, -1, 0)[:CHANNELS]
    _, height, width = slices.shape
    low, high = slices.min(), slices.max()
    row = np.ones((CELL + GAP, CHANNELS * (CELL + GAP)), np.float32)
    rows, columns = np.arange(CELL) * height // CELL, np.arange(CELL) * width // CELL
    for number, one in enumerate((slices - low) / (high - low or 1)):
        left = number * (CELL + GAP)
        row[:CELL, left : left + CELL] = one[np.ix_(rows, columns)]
    return row

"""Draws contact sheets: images in rows, each with a caption."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.report import class_names, figure_style
from cnn_jax.report.names import shorten
from cnn_jax.report.predictions import CAPTION, Prediction, short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 6
MOST = 120  # images on a sheet
CLASS = 14  # columns of a class name in a caption


def contact_sheet(
    predictions: Sequence[Prediction], path: str | os.PathLike[str], classes: Sequence[str] = ()
) -> bool:
    """Draws the first 120 images as the net saw them, each with its top class, in rows of six.

    Args:
      predictions: The images and their top classes.
      path: The PNG file.
      classes: The K names of the classes: a name that no installed font can draw is replaced by
        its number.

    Returns:
      False, with nothing written, if there is no image.
    """
    return figure_style.save(path, build_contact_sheet, predictions, classes)


def build_contact_sheet(
    predictions: Sequence[Prediction], classes: Sequence[str] = ()
) -> Figure | None:
    """The figure of `contact_sheet`, in matplotlib's current style."""
    shown = predictions[:MOST]
    if not shown:
        return None
    paths = [prediction.path for prediction in shown]
    long = short_names(paths)
    files = shorten([class_names.drawn(name) for name in long], CAPTION, paths)
    top = [prediction.classes[0] for prediction in shown]
    names = short_classes(top, classes)
    captions = [
        f"{file}\n{names[prediction.classes[0]]} {_value(prediction)}"
        for file, prediction in zip(files, shown, strict=True)
    ]
    count = "" if len(shown) == len(predictions) else f"the first {MOST} of "
    notes = [f"{count}{len(predictions)} pictures", class_names.note([*top, *long], classes)]
    images = [prediction.image for prediction in shown]
    return build_sheet(images, captions, "\n".join(filter(None, notes)))


def short_classes(names: Sequence[str], classes: Sequence[str] = ()) -> dict[str, str]:
    """The short text of each class name in captions; different names have different texts."""
    used = list(dict.fromkeys(names))
    short = shorten([class_names.drawn(name, classes) for name in used], CLASS, used)
    return dict(zip(used, short, strict=True))


def build_sheet(
    images: Sequence[np.ndarray | None], captions: Sequence[str], title: str
) -> Figure | None:
    """The first 120 images u8[H,W,C] in rows of six, a caption above each; None without images."""
    shown = list(zip(images, captions, strict=True))[:MOST]
    if not shown:
        return None
    rows = math.ceil(len(shown) / COLUMNS)
    figure = figure_style.figure(1.55 * rows + 0.3)
    figure.suptitle(title, parse_math=False)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (image, caption) in zip(grid.flat, shown, strict=False):
        assert image is not None
        axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=7.5, parse_math=False)
    return figure


def _value(prediction: Prediction) -> str:
    value = prediction.values[0]
    return f"{value:.0%}" if prediction.measure == "probability" else f"{value:.3g}"

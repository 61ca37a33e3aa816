"""Draws contact sheets: images in rows, each with a caption."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.report import figure_style
from cnn_jax.report.predictions import Prediction, short_names, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 6
MOST = 120  # images on a sheet


def contact_sheet(predictions: Sequence[Prediction], path: str | os.PathLike[str]) -> bool:
    """Draws the first 120 images as the net saw them, each with its top class, in rows of six.

    Returns:
      False, with nothing written, if there is no image.
    """
    return figure_style.save(path, build_contact_sheet, predictions)


def build_contact_sheet(predictions: Sequence[Prediction]) -> Figure | None:
    every = len(predictions) <= MOST
    count = "" if every else f"the first {MOST} of "
    images = [prediction.image for prediction in predictions]
    names = short_names([prediction.path for prediction in predictions])
    captions = [
        f"{name}\n{_top_class(prediction)}"
        for name, prediction in zip(names, predictions, strict=True)
    ]
    return build_sheet(images, captions, f"{count}{len(predictions)} pictures")


def build_sheet(
    images: Sequence[np.ndarray | None], captions: Sequence[str], title: str
) -> Figure | None:
    """The first 120 images u8[H,W,C] in rows of six, a caption above each; None without images."""
    shown = list(zip(images, captions, strict=True))[:MOST]
    if not shown:
        return None
    rows = math.ceil(len(shown) / COLUMNS)
    figure = figure_style.figure(1.55 * rows + 0.3)
    figure.suptitle(title)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (image, caption) in zip(grid.flat, shown, strict=False):
        assert image is not None
        axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=7.5, parse_math=False)
    return figure


def _top_class(prediction: Prediction) -> str:
    value = prediction.values[0]
    shown = f"{value:.0%}" if prediction.measure == "probability" else f"{value:.3g}"
    return f"{shortened(prediction.classes[0], 14)} {shown}"

"""Draws what neurons that share their weights see, and how their values come about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.analysis.neuron import Neuron
from cnn_jax.errors import shape_text
from cnn_jax.report import colours, figure_style
from cnn_jax.report.slices import Slices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SLICES = 16  # slices of an input or of weights
ROW = 1.95  # inches
# From negative to positive, without red beside green.
SIGNED = "PuOr"


def build_neurons(
    image: np.ndarray, neurons: Sequence[Neuron], titles: Sequence[str]
) -> Figure | None:
    """The figure of neurons of one channel, a row for each, in matplotlib's current style.

    A row shows the picture with a box around what the neuron sees; the neuron's input, at most 16
    slices of it, those whose products with the weights are largest; its weights; and the products,
    summed over the depth.

    Args:
      image: u8[H,W,C].
      neurons: Neurons of one channel of a layer, at different places.
      titles: A line above each row.

    Returns:
      None without neurons.
    """
    if not neurons:
        return None
    figure = figure_style.figure(ROW * len(neurons))
    rows = figure.subfigures(len(neurons), 1, squeeze=False)[:, 0]
    columns = 2 if neurons[0].weights is None else 4
    for row, neuron, title in zip(rows, neurons, titles, strict=True):
        row.suptitle(title, x=0.01, ha="left", fontsize=9, parse_math=False)
        panels = row.subplots(1, columns, squeeze=False)[0]
        _picture(panels[0], image, neuron)
        shown = _strongest(neurons[0])
        _slices(panels[1], neuron.patch, shown, "Its input")
        if neuron.weights is not None:
            _slices(panels[2], neuron.weights, shown, "Times its weights")
            _products(panels[3], neuron)
    return figure


def _picture(axes: Axes, image: np.ndarray, neuron: Neuron) -> None:
    from matplotlib.patches import Rectangle

    top, bottom, left, right = neuron.box
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    box: dict[str, Any] = {"fill": False, "clip_on": False}
    # White around the colour, so that it is seen on any picture.
    for colour, width in (("white", 3.6), (colours.VERMILLION, 1.8)):
        corner = (left - 0.5, top - 0.5)
        axes.add_patch(
            Rectangle(corner, right - left, bottom - top, edgecolor=colour, linewidth=width, **box)
        )
    _label(axes, f"It sees {bottom - top}x{right - left} pixels")


def _strongest(neuron: Neuron) -> np.ndarray:
    """The channels of a neuron's input that its value depends on most, in order."""
    products = neuron.patch if neuron.weights is None else neuron.patch * neuron.weights
    order = np.argsort(-np.abs(products).sum((0, 1)), kind="stable")
    return np.sort(order[:MOST_SLICES])


def _slices(axes: Axes, values: np.ndarray, shown: np.ndarray, title: str) -> None:
    if values.shape[2] == 3:  # of a picture, in colour
        largest = np.abs(values).max() or 1.0
        axes.imshow(0.5 + 0.5 * values / largest, interpolation="nearest")
    else:
        chosen = values[..., shown]
        drawn = Slices((*chosen.shape[:2], chosen.shape[2])).draw(chosen, signed=True)
        axes.imshow(drawn, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    depth = values.shape[2]
    part = f"\n{len(shown)} of {depth} slices" if len(shown) < depth else ""
    _label(axes, f"{title}, {shape_text(values.shape)}{part}")


def _products(axes: Axes, neuron: Neuron) -> None:
    assert neuron.weights is not None
    products = (neuron.patch * neuron.weights).sum(2)
    largest = float(np.abs(products).max()) or 1.0
    axes.imshow(products, cmap=SIGNED, vmin=-largest, vmax=largest, interpolation="nearest")
    if products.size <= 9:
        for (row, column), value in np.ndenumerate(products):
            colour = "white" if abs(value) > 0.6 * largest else "black"
            text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7, "color": colour}
            axes.text(column, row, f"{value:.2g}", **text)
    total = f"{products.sum():.2f}"
    bias = f" {neuron.bias:+.2f} = {neuron.output:.2f}" if neuron.bias else ""
    _label(axes, f"= products, their sum\n{total}{bias}")


def _label(axes: Axes, text: str) -> None:
    axes.set_xlabel(text, fontsize=7.5)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)

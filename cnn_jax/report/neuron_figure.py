"""Draws what a neuron sees, and how its value comes about."""

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
TALL = 4.0  # inches
# From negative to positive, without red beside green.
SIGNED = "PuOr"


def build_neuron(
    image: np.ndarray, neuron: Neuron, shown: Sequence[int], title: str
) -> Figure | None:
    """The figure of a neuron, half a page wide, in matplotlib's current style.

    The picture with a box around what the neuron sees; the neuron's input; its weights; and their
    products, added over the depth.

    Args:
      image: u8[H,W,C].
      neuron: The neuron.
      shown: Channels of the input and of the weights that are drawn, unless there are three.
      title: A line above.
    """
    figure = figure_style.figure(TALL if neuron.weights is not None else TALL / 2 + 0.2)
    figure.set_figwidth(figure_style.WIDTH / 2)
    figure.suptitle(title, fontsize=8, parse_math=False)
    panels = figure.subplots(1 if neuron.weights is None else 2, 2).ravel()
    _picture(panels[0], image, neuron)
    _slices(panels[1], neuron.patch, shown, "Its input")
    if neuron.weights is not None:
        _slices(panels[2], neuron.weights, shown, "Its weights")
        _products(panels[3], neuron)
    return figure


def strongest_slices(neuron: Neuron) -> list[int]:
    """The channels of a neuron's input that its value depends on most, at most 16, in order."""
    products = neuron.patch if neuron.weights is None else neuron.patch * neuron.weights
    order = np.argsort(-np.abs(products).sum((0, 1)), kind="stable")
    return sorted(order[:MOST_SLICES].tolist())


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
    rows, columns = f"rows {top} to {bottom - 1}", f"columns {left} to {right - 1}"
    _label(axes, f"It sees {bottom - top}x{right - left} pixels:\n{rows}, {columns}")


def _slices(axes: Axes, values: np.ndarray, shown: Sequence[int], title: str) -> None:
    if values.shape[2] == 3:  # of a picture, in colour
        largest = np.abs(values).max() or 1.0
        axes.imshow(0.5 + 0.5 * values / largest, interpolation="nearest")
    else:
        chosen = values[..., list(shown)]
        height, width, depth = chosen.shape
        drawn = Slices((height, width, depth), ratio=1).draw(chosen, signed=True)
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
    total = f"sum {products.sum():.2f}"
    bias = f", bias {neuron.bias:.2f}" if neuron.bias else ""
    _label(axes, f"Input x weights\n{total}{bias}: {neuron.output:.2f}")


def _label(axes: Axes, text: str) -> None:
    axes.set_xlabel(text, fontsize=7.5)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)

"""Computes the size of a convolution's output, its neurons and its parameters, before any net.

The arithmetic of CS231n's notes on convolutional networks, sections "Spatial arrangement" and
"Parameter Sharing" (https://cs231n.github.io/convolutional-networks/), for square volumes.
"""

import dataclasses
import math

from cnn_jax import ranges
from cnn_jax.analysis.layer import Volume


def output_side(side: int, window: int, *, padding: int = 0, stride: int = 1) -> int:
    """The side of a convolution's or a pool's output: (W - F + 2P)/S + 1.

    Args:
      side: W, the side of the input volume in pixels.
      window: F, the side of the window in pixels.
      padding: P, the zeros added at each border, in pixels.
      stride: S, the step between windows in pixels.

    Raises:
      ValueError: the windows do not fit, so that the result is no integer, or none fits at all.
        Libraries round down instead, and leave out the last pixels. The message lists the nearest
        strides, paddings and sides that fit.
    """
    ranges.positive(side=side, window=window, stride=stride)
    ranges.non_negative(padding=padding)
    room = side - window + 2 * padding
    if room < 0:
        raise ValueError(
            f"window {window} is larger than side {side} with padding {padding}: "
            f"use a window of at most {side + 2 * padding}"
        )
    if room % stride:
        raise ValueError(
            f"side {side}, window {window}, padding {padding} and stride {stride} do not fit: "
            f"({side} - {window} + 2*{padding})/{stride} + 1 = {room / stride + 1:g}; "
            f"change one of them: {_what_fits(side, window, padding, stride)}"
        )
    return room // stride + 1


def _what_fits(side: int, window: int, padding: int, stride: int) -> str:
    """The nearest strides, paddings and sides that fit, each with the other numbers unchanged.

    No stride is larger than the window, which would leave out pixels between windows, and no
    padding reaches the window's side, which would give windows of zeros only.
    """
    room = side - window + 2 * padding
    fitting = {
        "stride": [s for s in range(1, window + 1) if room % s == 0],
        "padding": [p for p in range(window) if _fits(side - window + 2 * p, stride)],
        "side": [s for s in range(1, side + stride + 1) if _fits(s - window + 2 * padding, stride)],
    }
    given = {"stride": stride, "padding": padding, "side": side}
    found = {name: _neighbours(values, given[name]) for name, values in fitting.items()}
    return ", ".join(f"{name} {' or '.join(map(str, n))}" for name, n in found.items() if n)


def _fits(room: int, stride: int) -> bool:
    return room >= 0 and room % stride == 0


def _neighbours(values: list[int], given: int) -> list[int]:
    """The largest value below the given one and the smallest above it."""
    below = [value for value in values if value < given]
    above = [value for value in values if value > given]
    return below[-1:] + above[:1]


@dataclasses.dataclass(frozen=True)
class Filters:
    """The filters of one convolution on a square volume.

    Attributes:
      input: Height, width and depth of the input volume; height and width are equal.
      count: Number of filters, the depth of the output volume.
      window: Side of a filter in pixels.
      padding: Zeros added at each border, in pixels.
      stride: Step between windows in pixels.

    Raises:
      ValueError: the volume is not square, or `output_side` raises it.
    """

    input: Volume
    count: int
    window: int
    padding: int = 0
    stride: int = 1

    def __post_init__(self) -> None:
        if self.input[0] != self.input[1]:
            raise ValueError(f"input must have equal height and width, got {self.input!r}")
        ranges.positive(count=self.count, depth=self.input[2])
        _ = self.output

    @property
    def output(self) -> Volume:
        """Height, width and depth of the output volume."""
        side = output_side(self.input[0], self.window, padding=self.padding, stride=self.stride)
        return side, side, self.count

    @property
    def neurons(self) -> int:
        """Number of values in the output volume."""
        return math.prod(self.output)

    @property
    def weights_per_neuron(self) -> int:
        """Number of weights of one neuron, its bias left out."""
        return self.window**2 * self.input[2]

    @property
    def parameters(self) -> int:
        """Weights and biases: one set for each filter, shared by all its neurons."""
        return self.count * (self.weights_per_neuron + 1)

    @property
    def parameters_without_sharing(self) -> int:
        """Weights and biases if each neuron had its own."""
        return self.neurons * (self.weights_per_neuron + 1)

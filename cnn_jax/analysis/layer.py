"""Describes one layer of a net: its volumes, weights, cost and receptive field."""

import dataclasses
import math

from cnn_jax.analysis.spans import Span

# Height, width and depth.
Volume = tuple[int, int, int]


@dataclasses.dataclass
class Layer:
    """One layer with weights, one pooling, or one product of volumes.

    Attributes:
      name: Path of the Flax module, or a name for the pooling such as "max pool".
      kind: "conv", "fc", "pool", "product" (of two volumes) or "norm" (any other module with
        parameters).
      input: Height, width and depth of the input volume.
      output: Height, width and depth of the output volume.
      receptive_field: Height and width of one output's receptive field, in pixels of the image.
      window: Height and width of the window in pixels; None without a window.
      stride: Vertical and horizontal step of the window in pixels; None without a window.
      weights: Number of kernel weights.
      biases: Number of other parameters: biases, and scales and shifts of norms.
      multiply_adds: Multiply-adds for one image.
      sees: The rows and the columns of the image that its outputs see.
      uncovered: Rows at the bottom and columns at the right of the input volume that no window
        covers, because the stride does not fit; 0 where windows leave gaps between them anyway.
    """

    name: str
    kind: str
    input: Volume
    output: Volume
    receptive_field: tuple[int, int]
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    weights: int = 0
    biases: int = 0
    multiply_adds: int = 0
    sees: tuple[Span, Span] = (Span(), Span())
    uncovered: tuple[int, int] = (0, 0)

    @property
    def fully_connected_weights(self) -> int:
        """Number of weights of a fully connected layer between the same two volumes."""
        return math.prod(self.input) * math.prod(self.output)

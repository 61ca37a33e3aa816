"""A line of the table of a net's layers and the volumes between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from cnn_jax.analysis.layer_walk import Layer, Volume


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer of the table, or a run of equal ones.

    Attributes:
      name: The layer's name, with that of a norm that follows left out.
      what: Kind, window and stride, as in "conv 3x3/2"; after "+", beside the rows above.
      kind: "input", "conv", "pool", "fc", "product" or "norm".
      input: Height, width and depth of the volume that goes in.
      volume: Height, width and depth of the volume that comes out.
      weights: Numbers in the kernels.
      biases: Biases, and the scales and shifts of the norm that follows.
      multiply_adds: For one image.
      receptive_field: Height and width, in pixels of the image, of what one output sees.
      fully_connected: Weights that full connection between the two volumes would take; None for
        layers that aren't replaced by it.
      count: How many layers the row stands for.
    """

    name: str
    what: str
    kind: str
    input: Volume
    volume: Volume
    weights: int = 0
    biases: int = 0
    multiply_adds: int = 0
    receptive_field: tuple[int, int] | None = None
    fully_connected: int | None = None
    count: int = 1

    @classmethod
    def of(cls, layer: Layer, before: Volume) -> Row:
        """The row of a layer that comes after this volume, or beside what made it."""
        window = layer.window or (layer.input[:2] if layer.kind == "pool" else None)
        stride = layer.stride or (1, 1)
        jumps = stride != (window if layer.stride and layer.kind == "pool" else (1, 1))
        return cls(
            name=layer.name,
            what="+" * is_beside(layer, before)
            + layer.kind
            + (f" {sides(window)}" if window else "")
            + (f"/{max(stride)}" if jumps else ""),
            kind=layer.kind,
            input=layer.input,
            volume=layer.output,
            weights=layer.weights,
            biases=layer.biases,
            multiply_adds=layer.multiply_adds,
            receptive_field=layer.receptive_field,
            fully_connected=layer.fully_connected_weights if layer.kind in ("conv", "fc") else None,
        )


def is_beside(layer: Layer, before: Volume) -> bool:
    """Whether a layer makes the volume before it once more, from another one: a shortcut."""
    return layer.input != before and layer.output == before


def sides(numbers: Iterable[int] | None) -> str:
    """(32, 32, 3) -> "32x32x3"; "" for None."""
    return "x".join(map(str, numbers or ()))

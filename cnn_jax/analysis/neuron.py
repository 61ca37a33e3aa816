"""Describes one neuron: what it sees of the image, its weights, its input and its activation."""

import dataclasses

import numpy as np

from cnn_jax.analysis.layer import Layer
from cnn_jax.analysis.layer_values import LayerValues

Position = tuple[int, int, int]
Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Neuron:
    """One value of a layer's output volume.

    Attributes:
      position: Row, column and channel in the output volume.
      box: What it sees of the image, in pixels: top, bottom, left, right; bottom and right are the
        first that it does not see.
      patch: f32[h,w,c], what it takes from the layer's input volume; padding is 0.
      weights: f32[h,w,c]; None for a pool.
      bias: Its bias; 0 without biases.
      output: The sum of products and the bias, or what the pool gives.
      activation: The value after norm, sum and activation function.
    """

    position: Position
    box: Box
    patch: np.ndarray
    weights: np.ndarray | None
    bias: float
    output: float
    activation: float


def box(layer: Layer, row: int, column: int, image_size: tuple[int, int]) -> Box:
    """What the neurons at one place of a layer see of the image: top, bottom, left, right."""
    vertical, horizontal = layer.sees
    return (
        *vertical.pixels(row, image_size[0]),
        *horizontal.pixels(column, image_size[1]),
    )


def neuron(values: LayerValues, position: Position, image_size: tuple[int, int]) -> Neuron:
    """The neuron of a layer at a position.

    Args:
      values: The layer and its arrays for an image.
      position: Row, column and channel in the output volume.
      image_size: Height and width of the image.

    Raises:
      IndexError: there is no neuron at that position.
    """
    layer, (row, column, channel) = values.layer, position
    if not all(0 <= at < size for at, size in zip(position, layer.output, strict=True)):
        raise IndexError(f"{layer.name} has no neuron at {position}: its output is {layer.output}")
    weights = None if values.kernel is None else values.kernel[..., channel]
    return Neuron(
        position=position,
        box=box(layer, row, column, image_size),
        patch=_patch(values, position),
        weights=weights,
        bias=float(values.biases[channel]) if layer.kind != "pool" else 0.0,
        output=float(values.output[row, column, channel]),
        activation=float(values.volume[row, column, channel]),
    )


def strongest(values: LayerValues, channel: int) -> Position:
    """Where the neurons of a channel, which share their weights, have the largest activation."""
    return _place(values.volume[..., channel].argmax(), values, channel)


def weakest(values: LayerValues, channel: int) -> Position:
    """Where the neurons of a channel have the smallest activation."""
    return _place(values.volume[..., channel].argmin(), values, channel)


def _place(index: np.intp, values: LayerValues, channel: int) -> Position:
    row, column = divmod(int(index), values.layer.output[1])
    return row, column, channel


def _patch(values: LayerValues, position: Position) -> np.ndarray:
    """The window's part of the input volume: all channels of the group, or the pool's channel."""
    layer, window, volume = values.layer, values.window, values.input
    row, column, channel = position
    depth = volume.shape[2]
    if layer.kind == "pool":
        channels = np.arange(channel, channel + 1)
    else:
        size = depth // window.groups
        group = channel // (layer.output[2] // window.groups)
        channels = np.arange(group * size, (group + 1) * size)
    places, inside = [], []
    for axis, index in enumerate((row, column)):
        start = index * window.stride[axis] - window.padding[axis]
        place = start + window.dilation[axis] * np.arange(window.size[axis])
        inside.append((place >= 0) & (place < volume.shape[axis]))
        places.append(place.clip(0, volume.shape[axis] - 1))
    patch = volume[np.ix_(*places, channels)]
    return np.where(inside[0][:, None, None] & inside[1][None, :, None], patch, np.float32(0))

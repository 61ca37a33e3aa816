"""Computes a net's table of volumes: one row per layer, with its shapes, weights and cost."""

from __future__ import annotations

import contextlib
import dataclasses
import math

import flax.linen as nn

from cnn_jax import config
from cnn_jax.analysis import structure
from cnn_jax.analysis.layer import Layer, Volume
from cnn_jax.config.names import NAMES
from cnn_jax.errors import UserError, first_line, shape_text
from cnn_jax.experiment import DataFacts, Experiment

# The shape and the number of classes where the data does not state them without being loaded.
IMAGE_SHAPE: Volume = (32, 32, 3)
CLASSES = 10
# The search for the smallest image that a model takes ends here.
LARGEST_TRIED = 64


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer of the table, or several equal ones in sequence.

    Attributes:
      name: The layer's name; a norm that follows is not named.
      what: Kind, window and stride, as in "conv 3x3/2"; a leading "+" marks a shortcut.
      kind: "input", "conv", "pool", "fc", "product" or "norm".
      input: Height, width and depth of the input volume.
      volume: Height, width and depth of the output volume.
      values: Number of values in the output volume, or in those of all layers of the row.
      weights: Number of kernel weights.
      biases: Number of biases, and of scales and shifts of the norm that follows.
      multiply_adds: Multiply-adds for one image.
      receptive_field: Height and width of one output's receptive field, in pixels of the image.
      fully_connected: Weights of a fully connected layer between the same two volumes; None for
        layers that it does not replace.
      count: How many layers the row stands for.
    """

    name: str
    what: str
    kind: str
    input: Volume
    volume: Volume
    values: int
    weights: int = 0
    biases: int = 0
    multiply_adds: int = 0
    receptive_field: tuple[int, int] | None = None
    fully_connected: int | None = None
    count: int = 1

    @classmethod
    def of(cls, layer: Layer, before: Volume) -> Row:
        """The row of a layer that follows the volume `before`, or is a shortcut beside it."""
        window = layer.window or (layer.input[:2] if layer.kind == "pool" else None)
        stride = layer.stride or (1, 1)
        jumps = stride != (window if layer.stride and layer.kind == "pool" else (1, 1))
        return cls(
            name=layer.name,
            what="+" * is_shortcut(layer, before)
            + layer.kind
            + (f" {shape_text(window)}" if window else "")
            + (f"/{max(stride)}" if jumps else ""),
            kind=layer.kind,
            input=layer.input,
            volume=layer.output,
            values=math.prod(layer.output),
            weights=layer.weights,
            biases=layer.biases,
            multiply_adds=layer.multiply_adds,
            receptive_field=layer.receptive_field,
            fully_connected=layer.fully_connected_weights if layer.kind in ("conv", "fc") else None,
        )


def is_shortcut(layer: Layer, before: Volume) -> bool:
    """Whether a layer computes the shape of the volume before it from another volume."""
    return layer.input != before and layer.output == before


@dataclasses.dataclass(frozen=True)
class Table:
    """A net's volumes.

    Attributes:
      rows: The input, then one row for each layer with weights and each pooling.
      parameters: Number of trained parameters.
      layers: The layers behind the rows; each norm is a layer of its own.
    """

    rows: tuple[Row, ...]
    parameters: int
    layers: tuple[Layer, ...]

    @property
    def image_shape(self) -> Volume:
        return self.rows[0].volume

    @property
    def values(self) -> int:
        """Number of values in the volumes, the image included, each counted once."""
        return sum(row.values for row in self.rows)

    @property
    def weights(self) -> int:
        return sum(row.weights for row in self.rows)

    @property
    def biases(self) -> int:
        return sum(row.biases for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        return sum(row.multiply_adds for row in self.rows)

    @property
    def fully_connected(self) -> int:
        return sum(row.fully_connected or 0 for row in self.rows)

    @property
    def convolutions(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == "conv")

    @property
    def ratio(self) -> float:
        """Weights of full connection per weight of the convolutions; 1 without convolutions."""
        weights = sum(row.weights for row in self.convolutions)
        full = sum(row.fully_connected or 0 for row in self.convolutions)
        return full / weights if weights else 1.0


def volumes(model: nn.Module, image_shape: Volume) -> Table:
    """Computes the volumes of a net for an image of the shape (H, W, C).

    Args:
      model: A module whose `num_classes` is set, called as `model(image, train=False)`.
      image_shape: H, W, C.

    Raises:
      UserError: the model cannot take such images.
    """
    try:
        layers = _layers(model, image_shape)
        parameters = structure.parameter_count(model, image_shape)
    except Exception as error:
        images = f"images of {shape_text(image_shape)}"
        reason = _smallest(model, image_shape) or first_line(error)
        raise UserError(
            f"model {config.to_text(model, NAMES)} can't take {images}: {reason}"
        ) from error
    rows = [Row("INPUT", "", "input", image_shape, image_shape, math.prod(image_shape))]
    for layer in layers:
        before = rows[-1]
        if layer.kind == "norm" and before.kind in ("conv", "fc") and before.volume == layer.input:
            rows[-1] = dataclasses.replace(before, biases=before.biases + layer.biases)
        else:
            rows.append(Row.of(layer, before.volume))
    return Table(tuple(rows), parameters, layers)


def _layers(model: nn.Module, image_shape: Volume) -> tuple[Layer, ...]:
    layers = tuple(structure.layers(model, image_shape))
    for layer in layers:
        # Some versions of JAX accept volumes of size zero.
        if not math.prod(layer.output):
            raise ValueError(f"{layer.name} outputs an empty volume, {shape_text(layer.output)}")
    return layers


def _smallest(model: nn.Module, image_shape: Volume) -> str:
    """Names the smallest larger square image that the model takes; "" if none is near."""
    for size in range(max(image_shape[:2]) + 1, LARGEST_TRIED + 1):
        with contextlib.suppress(Exception):
            _layers(model, (size, size, image_shape[2]))
            return f"the smallest that it takes are {size}x{size}"
    return ""


def of_experiment(
    experiment: Experiment,
    *,
    image_size: int | None = None,
    data_facts: DataFacts | None = None,
) -> Table:
    """Computes the volumes of an experiment's model; the data is not loaded.

    Args:
      experiment: Its model is analysed.
      image_size: Height and width of the image; None: as in the data.
      data_facts: A run's data; None: what the experiment's data states without being loaded, or
        else images of 32x32x3 in 10 classes.

    Raises:
      UserError: the model cannot take such images.
    """
    data = data_facts or experiment.data
    shape = getattr(data, "image_shape", IMAGE_SHAPE)
    if image_size is not None:
        shape = (image_size, image_size, shape[2])
    model = experiment.model
    if getattr(model, "num_classes", 0) is None:
        model = model.clone(num_classes=getattr(data, "num_classes", CLASSES))
    try:
        return volumes(model, shape)
    except UserError as error:
        raise UserError(f"--image_size={image_size}: {error}" if image_size else error) from error

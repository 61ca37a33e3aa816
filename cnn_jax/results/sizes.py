"""Parameters and FLOPs of every model in the package, from a table that this program writes.

    python -m cnn_jax.results.sizes

writes sizes.json; a test compares it with the models. Tracing all of them takes a minute, so the
program reads the table instead.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn

from cnn_jax import models
from cnn_jax.analysis import structure
from cnn_jax.models import layers
from cnn_jax.storage.json_files import write_json

TABLE = Path(__file__).with_name("sizes.json")


class Size(NamedTuple):
    """A model's size on the images and classes for which it was published.

    Attributes:
      parameters: Number of trained parameters.
      forward_flops: Floating-point operations per image of the forward pass; a multiply-add is 2.
      image_shape: Height, width and channels of the image.
      classes: Number of classes.
    """

    parameters: int
    forward_flops: int
    image_shape: tuple[int, ...]
    classes: int


def size(make: Callable[..., nn.Module]) -> Size:
    """The size of the model that a class or function makes, which is traced."""
    shape, classes = getattr(type(make()), "published_on", layers.Net.published_on)
    model = make(num_classes=classes)
    return Size(
        structure.parameter_count(model, shape),
        structure.forward_flops(model, shape),
        shape,
        classes,
    )


def table() -> dict[str, Size]:
    """The size of every model of the package, by name, as read from sizes.json."""
    entries = json.loads(TABLE.read_bytes())
    return {
        name: Size(**{**entry, "image_shape": tuple(entry["image_shape"])})
        for name, entry in entries.items()
    }


def write() -> None:
    """Traces every model of the package and writes sizes.json."""
    write_json(TABLE, {name: size(getattr(models, name))._asdict() for name in models.__all__})


if __name__ == "__main__":
    write()

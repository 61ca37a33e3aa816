"""Parameters and FLOPs of every model in the package, from a table that this program writes.

    python -m cnn_jax.results.sizes

writes sizes.json; a test compares it with the models. Tracing all of them takes a minute, so the
program reads the table instead.
"""

import json
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn

from cnn_jax import models
from cnn_jax.analysis import structure
from cnn_jax.storage.json_files import write_json

TABLE = Path(__file__).with_name("sizes.json")
IMAGE_SHAPE, CLASSES = (32, 32, 3), 10


class Size(NamedTuple):
    """A model's size on 32x32x3 images of 10 classes.

    Attributes:
      parameters: Number of trained parameters.
      forward_flops: Floating-point operations per image of the forward pass; a multiply-add is 2.
    """

    parameters: int
    forward_flops: int


def size(model: nn.Module) -> Size:
    """The size of a model with 10 classes, which is traced."""
    return Size(
        structure.parameter_count(model, IMAGE_SHAPE), structure.forward_flops(model, IMAGE_SHAPE)
    )


def table() -> dict[str, Size]:
    """The size of every model of the package, by name, as read from sizes.json."""
    return {name: Size(**entry) for name, entry in json.loads(TABLE.read_bytes()).items()}


def write() -> None:
    """Traces every model of the package and writes sizes.json."""
    made = {name: getattr(models, name)(num_classes=CLASSES) for name in models.__all__}
    write_json(TABLE, {name: size(model)._asdict() for name, model in made.items()})


if __name__ == "__main__":
    write()

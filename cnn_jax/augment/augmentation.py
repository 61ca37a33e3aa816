"""Defines the base class of augmentations and the random keys of examples."""

import abc
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from cnn_jax.data.batch import Batch
from cnn_jax.ranges import Checked


@dataclasses.dataclass(frozen=True)
class Augmentation(Checked, abc.ABC):
    """Base class of all augmentations."""

    # Whether examples are mixed, which needs labels f32[B,K]: weights of classes.
    mixes_examples: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """Returns the augmented batch; `key` differs for each step and augmentation."""


def example_keys(key: jax.Array, batch: Batch) -> jax.Array:
    """Returns a key for each example, key[B], derived from its index."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, batch.index)


def rectangle(height: int, width: int, first, size) -> jax.Array:
    """Returns bool[H,W]: the pixels of a rectangle, clipped to the image.

    Args:
      height: Height of the image in pixels.
      width: Width of the image in pixels.
      first: First row and column, i32[2]; may be outside.
      size: Height and width of the rectangle.
    """
    rows, columns = jnp.arange(height), jnp.arange(width)
    rows = (rows >= first[0]) & (rows < first[0] + size[0])
    columns = (columns >= first[1]) & (columns < first[1] + size[1])
    return rows[:, None] & columns

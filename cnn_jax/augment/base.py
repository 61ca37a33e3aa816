"""What every augmentation is, and where an example's randomness comes from."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar

import jax

from cnn_jax.data.batch import Batch


@dataclasses.dataclass(frozen=True)
class Augmentation(abc.ABC):
    """What every augmentation is an instance of."""

    # Whether examples are mixed, and their labels with them: f32[B,K] weights of classes.
    mixes_examples: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """The batch, changed; `key` is the step's and this augmentation's own."""


def example_keys(key: jax.Array, batch: Batch) -> jax.Array:
    """A key for each example, key[B], by its index."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, batch.index)

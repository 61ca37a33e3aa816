"""A step's examples, brought to the devices for it alone."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from cnn_jax.data.batch import Batch
from cnn_jax.runtime.batch_axis import OfBatch


@struct.dataclass
class Streamed(OfBatch):
    """The examples of one step, in the place of the data set that a `Resident` holds.

    Attributes:
      images: u8[B,H,W,C].
      labels: i32[B].
      mask: f32[B], 1: an example; 0: padding.
    """

    images: Any
    labels: Any
    mask: Any

    @classmethod
    def shapes(cls, size: int, image_shape: tuple[int, ...]) -> Streamed:
        """The shapes of so many examples of u8[H,W,C]."""
        return cls(
            images=jax.ShapeDtypeStruct((size, *image_shape), jnp.uint8),
            labels=jax.ShapeDtypeStruct((size,), jnp.int32),
            mask=jax.ShapeDtypeStruct((size,), jnp.float32),
        )

    def batch(self, index: jax.Array, epoch: jax.Array) -> Batch:
        """The batch of these examples, whose numbers in the data set are the index i32[B]."""
        return Batch(self.images, self.labels, index, epoch, self.mask)

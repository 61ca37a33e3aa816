"""The batch: what flows from the data through augmentation to the model."""

from __future__ import annotations

import jax
from flax import struct


@struct.dataclass
class Batch:
    """B examples of one step, and where they come from.

    Attributes:
      image: u8[B,H,W,C] as the data has it; f32 from 0 to 255 once examples are mixed.
      label: i32[B] class numbers, or f32[B,K] weights of classes once examples are mixed.
      index: i32[B], each example's place in its split. Randomness is drawn from it, so that an
        example's augmentation does not depend on which device or batch it falls into.
      epoch: i32[], passes over the training set so far.
      mask: f32[B], 1 for an example, 0 for the padding of a ragged last batch.
    """

    image: jax.Array
    label: jax.Array
    index: jax.Array
    epoch: jax.Array
    mask: jax.Array

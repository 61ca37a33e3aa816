"""Defines the batch that the augmentations transform and the model sees."""

import jax
from flax import struct


@struct.dataclass
class Batch:
    """B examples of one step, with their indices in the split.

    Attributes:
      image: u8[B,H,W,C] from the data set; f32 from 0 to 255 after mixing.
      label: i32[B] class indices, or f32[B,K] class weights for mixing.
      index: i32[B], each example's index in its split. It seeds the example's augmentation, which
        therefore does not depend on the device or batch that the example is in. With balanced
        sampling, which draws an example several times, it is the place in the epoch instead.
      epoch: i32[], number of completed epochs.
      mask: f32[B], 1: an example; 0: padding of an incomplete last batch.
    """

    image: jax.Array
    label: jax.Array
    index: jax.Array
    epoch: jax.Array
    mask: jax.Array

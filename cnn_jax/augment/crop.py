"""Crops images at random positions."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from cnn_jax.augment.augmentation import Augmentation, example_keys
from cnn_jax.data.batch import Batch
from cnn_jax.ranges import NonNegative


@dataclasses.dataclass(frozen=True)
class RandomCrop(Augmentation):
    """Pads each image, then crops it to its original size at a random position.

    Attributes:
      padding: Pixels added on every side.
      fill: Content of the padding: "zero" (black) or "reflect" (the image mirrored at its edge).
    """

    padding: NonNegative[int] = 4
    fill: Literal["zero", "reflect"] = "zero"

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        edge = ((0, 0), (self.padding,) * 2, (self.padding,) * 2, (0, 0))
        mode = "constant" if self.fill == "zero" else "reflect"
        padded = jnp.pad(batch.image, edge, mode=mode)
        draw = jax.vmap(lambda k: jax.random.randint(k, (2,), 0, 2 * self.padding + 1))
        crop = jax.vmap(
            lambda image, at: jax.lax.dynamic_slice(image, (*at, 0), batch.image.shape[1:])
        )
        return dataclasses.replace(batch, image=crop(padded, draw(example_keys(key, batch))))

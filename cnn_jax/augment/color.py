"""Random brightness and contrast."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from cnn_jax import ranges
from cnn_jax.augment.base import Augmentation, example_keys
from cnn_jax.batch import Batch


@dataclasses.dataclass(frozen=True)
class Jitter(Augmentation):
    """Shifts each image's brightness and scales its contrast, all pixels and channels alike.

    A pixel p becomes (p + 255 b - 127.5) (1 + c) + 127.5, cut off at 0 and 255.

    Attributes:
      brightness: Most that b may be either way, as a share of the range from black to white.
      contrast: Most that c may be either way, from 0 to below 1.
    """

    brightness: float = 0.1
    contrast: float = 0.1

    def __post_init__(self):
        ranges.fraction(brightness=self.brightness, contrast=self.contrast)

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        most = jnp.array([255 * self.brightness, self.contrast])
        draw = jax.vmap(lambda k: jax.random.uniform(k, (2,), minval=-most, maxval=most))
        shift, scale = draw(example_keys(key, batch)).T[:, :, None, None, None]
        image = (batch.image.astype(jnp.float32) + shift - 127.5) * (1 + scale) + 127.5
        image = jnp.clip(jnp.round(image), 0, 255).astype(batch.image.dtype)
        return dataclasses.replace(batch, image=image)

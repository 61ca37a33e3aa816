"""Random brightness, contrast, saturation and hue."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnn_jax import ranges
from cnn_jax.augment import image_operations
from cnn_jax.augment.base import Augmentation, example_keys
from cnn_jax.data.batch import Batch


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


@dataclasses.dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Changes each image's brightness, contrast, saturation and hue, as torchvision's does.

    Each factor is uniform between 1 - most (not below 0) and 1 + most, and the hue's shift between
    -most and most of the circle. Brightness, contrast and saturation are Pillow's `ImageEnhance`.
    The order in which the four come is drawn for each step, where torchvision draws one for each
    image: that would cost four times as much. A grey image has no saturation and hue to change.

    Attributes:
      brightness: Most that the factor towards or from black differs from 1.
      contrast: Likewise, towards or from the mean grey.
      saturation: Likewise, towards or from the image in greys.
      hue: Most that the hue is turned, from 0 to 0.5 (half of the circle).
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1

    def __post_init__(self):
        ranges.non_negative(
            brightness=self.brightness, contrast=self.contrast, saturation=self.saturation
        )
        ranges.non_negative(hue=self.hue)
        if self.hue > 0.5:
            raise ValueError(f"hue must be at most 0.5, got {self.hue!r}")

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        image_operations.check(batch.image)
        factors: dict[Callable, float] = {_brighten: self.brightness, _contrast: self.contrast}
        hue = 0.0
        if batch.image.shape[-1] == 3:
            factors[_saturate], hue = self.saturation, self.hue
        bounds = [(f, max(0.0, 1 - most), 1 + most) for f, most in factors.items() if most]
        bounds += [(_turn_hue, -hue, hue)] if hue else []
        if not bounds:
            return batch
        changes, low, high = zip(*bounds, strict=True)

        order_key, key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(changes))
        draw = jax.vmap(
            lambda k: jax.random.uniform(
                k, (len(changes),), minval=jnp.array(low), maxval=jnp.array(high)
            )
        )
        drawn = draw(example_keys(key, batch)).T
        branches = [
            lambda image, change=change, number=number: jax.vmap(change)(image, drawn[number])
            for number, change in enumerate(changes)
        ]
        image = jax.lax.fori_loop(
            0,
            len(changes),
            lambda place, image: jax.lax.switch(order[place], branches, image),
            batch.image,
        )
        return dataclasses.replace(batch, image=image)


def _brighten(image: jax.Array, factor: jax.Array) -> jax.Array:
    return image_operations.blend(jnp.zeros(()), image, factor)


def _contrast(image: jax.Array, factor: jax.Array) -> jax.Array:
    return image_operations.blend(image_operations.mean_grey(image), image, factor)


def _saturate(image: jax.Array, factor: jax.Array) -> jax.Array:
    return image_operations.blend(image_operations.grey(image), image, factor)


def _turn_hue(image: jax.Array, turn: jax.Array) -> jax.Array:
    """Adds to the hue of HSV, u8[H,W,3], f32[] -> u8[H,W,3]. (Pillow's HSV rounds it to 1/255.)"""
    red, green, blue = jnp.moveaxis(image.astype(jnp.float32), -1, 0)
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    # The hue in sixths of the circle: from the two channels that are not the greatest.
    sixths = jnp.where(
        value == red,
        green - blue,
        jnp.where(value == green, blue - red, red - green),
    ) / jnp.maximum(chroma, 1)
    sixths += jnp.where(value == red, 0, jnp.where(value == green, 2, 4)) + 6 * turn
    # A channel falls below the value by as much as the hue is away from the channel's third.
    away = sixths[..., None] + jnp.array([5.0, 3.0, 1.0])
    away -= 6 * jnp.floor(away / 6)
    fall = jnp.clip(jnp.minimum(away, 4 - away), 0, 1)
    return jnp.round(value[..., None] - chroma[..., None] * fall).astype(jnp.uint8)

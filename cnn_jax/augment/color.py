"""Changes brightness, contrast, saturation and hue at random."""

import dataclasses
from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp

from cnn_jax.augment import image_operations
from cnn_jax.augment.augmentation import Augmentation, example_keys
from cnn_jax.data.batch import Batch
from cnn_jax.ranges import Fraction, NonNegative, within


@dataclasses.dataclass(frozen=True)
class Jitter(Augmentation):
    """Shifts each image's brightness and scales its contrast, equally for all pixels and channels.

    A pixel p becomes (p + 255 b - 127.5) (1 + c) + 127.5, clipped to 0..255.

    Attributes:
      brightness: Largest |b|, as a share of the range from black to white.
      contrast: Largest |c|, below 1.
    """

    brightness: Fraction[float] = 0.1
    contrast: Fraction[float] = 0.1

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        most = jnp.array([255 * self.brightness, self.contrast])
        draw = jax.vmap(lambda k: jax.random.uniform(k, (2,), minval=-most, maxval=most))
        shift, scale = draw(example_keys(key, batch)).T[:, :, None, None, None]
        image = (batch.image.astype(jnp.float32) + shift - 127.5) * (1 + scale) + 127.5
        image = jnp.clip(jnp.round(image), 0, 255).astype(batch.image.dtype)
        return dataclasses.replace(batch, image=image)


@dataclasses.dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Changes each image's brightness, contrast, saturation and hue, as torchvision does.

    Each factor is uniform between 1 - x (at least 0) and 1 + x, where x is the field's value; the
    hue's shift is uniform between -x and x of the colour circle. Brightness, contrast and
    saturation are Pillow's `ImageEnhance`. The order of the four is random for each step;
    torchvision's is random for each image, which would cost four times as much. Saturation and hue
    do not change greyscale images.

    Attributes:
      brightness: Largest difference from 1 of the factor that blends with black.
      contrast: Largest difference from 1 of the factor that blends with the mean grey.
      saturation: Largest difference from 1 of the factor that blends with the greyscale image.
      hue: Largest rotation of the hue, from 0 to 0.5 (half of the circle).
    """

    brightness: NonNegative[float] = 0.4
    contrast: NonNegative[float] = 0.4
    saturation: NonNegative[float] = 0.4
    hue: Annotated[float, within(0, 0.5)] = 0.1

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        image_operations.check(batch.image)
        blends = [
            (lambda image: jnp.zeros(()), self.brightness),
            (image_operations.mean_grey, self.contrast),
        ]
        hue = 0.0
        if batch.image.shape[-1] == 3:
            blends.append((image_operations.grey, self.saturation))
            hue = self.hue
        bounds = [(_blend(b), max(0.0, 1 - most), 1 + most) for b, most in blends if most]
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


def _blend(base: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Returns a function of an image and a factor that blends the image with a base of it."""
    return lambda image, factor: image_operations.blend(base(image), image, factor)


def _turn_hue(image: jax.Array, turn: jax.Array) -> jax.Array:
    """Adds to the HSV hue, u8[H,W,3], f32[] -> u8[H,W,3]; Pillow rounds the hue to 1/255."""
    red, green, blue = jnp.moveaxis(image.astype(jnp.float32), -1, 0)
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    # The hue in sixths of the circle, from the two channels that are not the maximum.
    sixths = jnp.where(
        value == red,
        green - blue,
        jnp.where(value == green, blue - red, red - green),
    ) / jnp.maximum(chroma, 1)
    sixths += jnp.where(value == red, 0, jnp.where(value == green, 2, 4)) + 6 * turn
    # A channel falls below the value with the distance of the hue from the channel's own hue.
    away = sixths[..., None] + jnp.array([5.0, 3.0, 1.0])
    away -= 6 * jnp.floor(away / 6)
    fall = jnp.clip(jnp.minimum(away, 4 - away), 0, 1)
    return jnp.round(value[..., None] - chroma[..., None] * fall).astype(jnp.uint8)

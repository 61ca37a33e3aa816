"""Augmentations: (key, Batch) -> Batch, batched and pure, on the device.

Images are u8[B,H,W,C], before normalisation, so zero padding is black as the publications have it.
Each example's randomness is drawn from the step's key and the example's index: the result does not
depend on how a batch is split over devices.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from cnn_jax import ranges
from cnn_jax.batch import Batch
from cnn_jax.errors import UserError

__all__ = ["AlternatingFlip", "Augmentation", "Cutout", "Flip", "Jitter", "RandomCrop"]


@dataclasses.dataclass(frozen=True)
class Augmentation(abc.ABC):
    """What every augmentation is an instance of."""

    @abc.abstractmethod
    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """The batch, changed; `key` is the step's and this augmentation's own."""


def _keys(key: jax.Array, batch: Batch) -> jax.Array:
    return jax.vmap(jax.random.fold_in, (None, 0))(key, batch.index)


def _offsets(key: jax.Array, batch: Batch, low: int, high: int) -> jax.Array:
    """i32[B,2] drawn from low <= x < high."""
    return jax.vmap(lambda k: jax.random.randint(k, (2,), low, high))(_keys(key, batch))


@dataclasses.dataclass(frozen=True)
class RandomCrop(Augmentation):
    """Pads each image and crops it back to its size at a random place.

    Attributes:
      padding: Pixels added on every side.
      fill: What the padding holds: "zero" (black) or "reflect" (the image mirrored at its edge).
    """

    padding: int = 4
    fill: Literal["zero", "reflect"] = "zero"

    def __post_init__(self):
        ranges.non_negative(padding=self.padding)
        ranges.one_of(("zero", "reflect"), fill=self.fill)

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        edge = ((0, 0), (self.padding,) * 2, (self.padding,) * 2, (0, 0))
        mode = "constant" if self.fill == "zero" else "reflect"
        padded = jnp.pad(batch.image, edge, mode=mode)
        corner = _offsets(key, batch, 0, 2 * self.padding + 1)
        crop = jax.vmap(
            lambda image, at: jax.lax.dynamic_slice(image, (*at, 0), batch.image.shape[1:])
        )
        return dataclasses.replace(batch, image=crop(padded, corner))


@dataclasses.dataclass(frozen=True)
class Flip(Augmentation):
    """Mirrors each image left to right with probability one half."""

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        return _flip(batch, jax.vmap(jax.random.bernoulli)(_keys(key, batch)))


@dataclasses.dataclass(frozen=True)
class AlternatingFlip(Augmentation):
    """Mirrors an image in every other epoch; which half starts mirrored is fixed by its index.

    Every two epochs show each image both ways, which random flips don't (Jordan 2024,
    arXiv:2404.00498).
    """

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        del key  # a function of index and epoch alone
        bits = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(jax.random.key(0), i)))
        return _flip(batch, (bits(batch.index) + batch.epoch.astype(jnp.uint32)) % 2 == 1)


def _flip(batch: Batch, mirrored: jax.Array) -> Batch:
    image = jnp.where(mirrored[:, None, None, None], batch.image[:, :, ::-1], batch.image)
    return dataclasses.replace(batch, image=image)


@dataclasses.dataclass(frozen=True)
class Cutout(Augmentation):
    """Covers a square at a random place (DeVries and Taylor 2017, arXiv:1708.04552).

    As published, the square's centre is uniform over the image, so part of it may fall outside.
    (The publication's square has the mean colour, since it is cut after normalisation.)

    Attributes:
      size: Side of the square in pixels.
      color: What the square holds, from 0 to 255: a value for each channel, or one for all.
      whole: Whether the square lies inside the image as a whole, at each place as likely.
    """

    size: int = 16
    color: tuple[int, ...] = (0,)
    whole: bool = False

    def __post_init__(self):
        ranges.positive(size=self.size)
        ranges.finite(color=self.color)
        if not self.color or not all(0 <= value <= 255 for value in self.color):
            raise ValueError(f"color must have values from 0 to 255, got {self.color!r}")

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        height, width, channels = batch.image.shape[1:]
        if self.whole and self.size > min(height, width):
            raise UserError(f"size must be at most the image's {height}x{width}, got {self.size}")
        if len(self.color) not in (1, channels):
            raise UserError(f"color must have 1 value or {channels}, got {self.color!r}")
        beyond = self.size - 1 if self.whole else 0
        draw = jax.vmap(
            lambda k: jax.random.randint(
                k, (2,), jnp.zeros(2, int), jnp.array([height - beyond, width - beyond])
            )
        )
        first = draw(_keys(key, batch)) - (0 if self.whole else self.size // 2)
        rows = _within(jnp.arange(height), first[:, :1], self.size)
        columns = _within(jnp.arange(width), first[:, 1:], self.size)
        hole = rows[:, :, None] & columns[:, None, :]
        color = jnp.broadcast_to(jnp.array(self.color, batch.image.dtype), channels)
        return dataclasses.replace(batch, image=jnp.where(hole[..., None], color, batch.image))


def _within(place: jax.Array, first: jax.Array, size: int) -> jax.Array:
    return (place >= first) & (place < first + size)


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
        shift, scale = draw(_keys(key, batch)).T[:, :, None, None, None]
        image = (batch.image.astype(jnp.float32) + shift - 127.5) * (1 + scale) + 127.5
        image = jnp.clip(jnp.round(image), 0, 255).astype(batch.image.dtype)
        return dataclasses.replace(batch, image=image)

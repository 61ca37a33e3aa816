"""Parts of an image covered."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from cnn_jax import ranges
from cnn_jax.augment.base import Augmentation, example_keys
from cnn_jax.batch import Batch
from cnn_jax.errors import UserError


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
        _check_color(self.color)

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        height, width, channels = batch.image.shape[1:]
        if self.whole and self.size > min(height, width):
            raise UserError(f"size must be at most the image's {height}x{width}, got {self.size}")
        color = _per_channel(self.color, channels)
        beyond = self.size - 1 if self.whole else 0
        draw = jax.vmap(
            lambda k: jax.random.randint(
                k, (2,), jnp.zeros(2, int), jnp.array([height - beyond, width - beyond])
            )
        )
        first = draw(example_keys(key, batch)) - (0 if self.whole else self.size // 2)
        hole = jax.vmap(lambda at: _rectangle(height, width, at, (self.size, self.size)))(first)
        return _covered(batch, hole, color)


def _check_color(color: tuple[int, ...]) -> None:
    ranges.finite(color=color)
    if not color or not all(0 <= value <= 255 for value in color):
        raise ValueError(f"color must have values from 0 to 255, got {color!r}")


def _per_channel(color: tuple[int, ...], channels: int) -> jax.Array:
    if len(color) not in (1, channels):
        raise UserError(f"color must have 1 value or {channels}, got {color!r}")
    return jnp.broadcast_to(jnp.array(color, jnp.uint8), channels)


def _rectangle(height: int, width: int, first, size) -> jax.Array:
    """bool[H,W]: the pixels of a rectangle from its first row and column on, as far as inside."""
    rows, columns = jnp.arange(height), jnp.arange(width)
    rows = (rows >= first[0]) & (rows < first[0] + size[0])
    columns = (columns >= first[1]) & (columns < first[1] + size[1])
    return rows[:, None] & columns


def _covered(batch: Batch, hole: jax.Array, cover: jax.Array) -> Batch:
    cover = cover.astype(batch.image.dtype)
    return dataclasses.replace(batch, image=jnp.where(hole[..., None], cover, batch.image))

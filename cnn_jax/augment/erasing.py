"""Covers a square (Cutout) or a rectangle of random shape (RandomErasing) of each image."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from cnn_jax.augment.augmentation import Augmentation, example_keys, rectangle
from cnn_jax.data.batch import Batch
from cnn_jax.errors import UserError
from cnn_jax.ranges import Finite, Pixel, Positive, Probability

# Number of shapes drawn for each image; the first one that fits is used.
_ATTEMPTS = 10


@dataclasses.dataclass(frozen=True)
class Cutout(Augmentation):
    """Covers a square at a random position (DeVries and Taylor 2017, arXiv:1708.04552).

    As published, the square's centre is uniform over the image, so part of it may be outside. The
    publication's square has the mean colour, since it is applied after normalisation.

    Attributes:
      size: Side of the square in pixels.
      color: Value of the square, from 0 to 255: one for each channel, or one for all.
      whole: Whether the whole square is inside the image, uniformly over all positions.
    """

    size: Positive[int] = 16
    color: tuple[Pixel, ...] = (0,)
    whole: bool = False

    def __post_init__(self):
        super().__post_init__()
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
        hole = jax.vmap(lambda at: rectangle(height, width, at, (self.size, self.size)))(first)
        return _covered(batch, hole, color)


@dataclasses.dataclass(frozen=True)
class RandomErasing(Augmentation):
    """Covers a rectangle of random size, shape and position (Zhong et al. 2017, arXiv:1708.04896).

    Area and aspect ratio are uniform, as published; as in the authors' code, the rectangle is
    smaller than the image in both directions and its position is uniform.

    Attributes:
      probability: Probability that an image is changed.
      area: Smallest and largest share of the image's area.
      ratio: Smallest ratio of height to width; the largest is its inverse.
      color: Value of the rectangle, from 0 to 255: one for each channel, or one for all; None:
        uniform noise for each pixel, which the publication found best.
    """

    probability: Probability[float] = 0.5
    area: tuple[Finite[float], Finite[float]] = (0.02, 0.4)
    ratio: Positive[Probability[float]] = 0.3
    color: tuple[Pixel, ...] | None = None

    def __post_init__(self):
        super().__post_init__()
        if len(self.area) != 2 or not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area must be two shares, 0 < low <= high <= 1, got {self.area!r}")
        _check_color(self.color)

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        height, width, channels = batch.image.shape[1:]
        keys = jax.vmap(jax.random.split)(example_keys(key, batch))
        hole = jax.vmap(lambda k: self._hole(k, height, width))(keys[:, 0])
        if self.color is not None:
            return _covered(batch, hole, _per_channel(self.color, channels))
        noise = jax.vmap(lambda k: _noise(k, batch.image.shape[1:]))
        return _covered(batch, hole, noise(keys[:, 1]))

    def _hole(self, key: jax.Array, height: int, width: int) -> jax.Array:
        """bool[H,W]: the pixels of one image to cover."""
        whole = jnp.array([height, width])
        # A single draw: several take longer to compile than all the rest here.
        drawn = jax.random.uniform(key, (2 * _ATTEMPTS + 3,))
        least, most = self.area
        area = height * width * (least + (most - least) * drawn[:_ATTEMPTS])
        ratio = self.ratio + (1 / self.ratio - self.ratio) * drawn[_ATTEMPTS:-3]
        sides = jnp.sqrt(jnp.stack([area * ratio, area / ratio], axis=1))
        sides = jnp.round(sides).astype(jnp.int32)
        fits = (sides < whole).all(axis=1)
        first_fit = jnp.argmax(fits)
        size = sides[first_fit]
        first = jnp.floor(drawn[-3:-1] * (whole - size + 1)).astype(jnp.int32)
        erase = (drawn[-1] < self.probability) & fits[first_fit]
        return erase & rectangle(height, width, first, size)


def _noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """u8 noise, four values from each 32 random bits: three times as fast as drawing u8."""
    number = math.prod(shape)
    bits = jax.random.bits(key, (-(-number // 4),))
    return jax.lax.bitcast_convert_type(bits, jnp.uint8).ravel()[:number].reshape(shape)


def _check_color(color: tuple[int, ...] | None) -> None:
    if color == ():
        raise ValueError("color must have at least one value, got ()")


def _per_channel(color: tuple[int, ...], channels: int) -> jax.Array:
    if len(color) not in (1, channels):
        raise UserError(f"color must have 1 value or {channels}, got {color!r}")
    return jnp.broadcast_to(jnp.array(color, jnp.uint8), channels)


def _covered(batch: Batch, hole: jax.Array, cover: jax.Array) -> Batch:
    cover = cover.astype(batch.image.dtype)
    return dataclasses.replace(batch, image=jnp.where(hole[..., None], cover, batch.image))

"""QuickNet: the most accuracy that minutes on a few CPU cores buy."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops, ranges
from cnn_jax.models import layers
from cnn_jax.models.whitening import Whitening


class QuickNet(nn.Module):
    """A small cousin of airbench94 (Jordan 2024, arXiv:2404.00498), f32[B,H,W,C] -> f32[B,K].

    A frozen whitening layer of 4x4 patches at stride 2 spares the full-size convolutions; groups of
    conv - pool - norm - GELU - conv - norm - GELU follow, then the global maximum and the scores,
    scaled down. The image must be at least 10 pixels high and wide, and of three channels for the
    default's 48 filters. It has 287,408 trained parameters at 10 classes.

    Attributes:
      filters: Filters of the whitening layer; half of them are negatives of the other half.
      widths: Depth of the volume in each group.
      num_classes: Number of class scores; None: as many as the data has.
    """

    filters: int = 48
    widths: tuple[int, ...] = (64, 128)
    num_classes: int | None = None

    def __post_init__(self):
        ranges.positives(widths=self.widths)
        ranges.positive(filters=self.filters, num_classes=self.num_classes)
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = nn.gelu(Whitening(self.filters, window=4, stride=2, name="whitening")(image))
        for width in self.widths:
            x = ops.max_pool(_conv(width)(x), 2)
            x = nn.gelu(_norm(train)(x))
            x = nn.gelu(_norm(train)(_conv(width)(x)))
        x = x.max(axis=(1, 2))
        head = layers.scores(self.num_classes, use_bias=False, kernel_init=_unit_head, name="head")
        return head(x) / self.widths[-1]


def _conv(width: int):
    return layers.Conv(width, use_bias=False, kernel_init=partly_identity)


def _norm(train: bool):
    # The statistics of a short run must be those of its last steps, hence the low momentum.
    return layers.batch_norm(train=train, momentum=0.6, epsilon=1e-12, use_scale=False)


def _uniform(key, shape, dtype):
    fan_in = jnp.prod(jnp.array(shape[:-1]))
    return jax.random.uniform(key, shape, dtype, -1, 1) / jnp.sqrt(fan_in)


def partly_identity(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """HWIO kernel whose first C_in filters pass their channel through; the rest are uniform."""
    height, width, channels, filters = shape
    passed = min(channels, filters)
    identity = jnp.zeros((*shape[:3], passed), dtype)
    place = jnp.arange(passed)
    identity = identity.at[height // 2, width // 2, place, place].set(1)
    return _uniform(key, shape, dtype).at[..., :passed].set(identity)


def _unit_head(key, shape, dtype=jnp.float32):
    kernel = _uniform(key, shape, dtype)
    return kernel / kernel.std()

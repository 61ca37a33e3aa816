"""Layers and initialisers of the airbench nets and QuickNet (Jordan 2024, arXiv:2404.00498)."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models import layers


def uniform(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """A kernel [...,C_out] with uniform entries in [-1, 1] / sqrt(fan_in)."""
    return jax.random.uniform(key, shape, dtype, -1, 1) / math.sqrt(math.prod(shape[:-1]))


def partly_identity(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """HWIO kernel whose first C_in filters copy their input channel; the rest are uniform."""
    height, width, channels, filters = shape
    copied = min(channels, filters)
    identity = jnp.zeros((*shape[:3], copied), dtype)
    index = jnp.arange(copied)
    identity = identity.at[height // 2, width // 2, index, index].set(1)
    return uniform(key, shape, dtype).at[..., :copied].set(identity)


def unit_head(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """A uniform kernel whose entries have standard deviation 1."""
    kernel = uniform(key, shape, dtype)
    return kernel / kernel.std()


def conv(width: int, padding="SAME") -> nn.Conv:
    """A 3x3 convolution whose first filters initially copy their input channel."""
    return layers.Conv(width, padding=padding, use_bias=False, kernel_init=partly_identity)


def pooled_conv(volume: jax.Array, width: int) -> jax.Array:
    """`conv`, then 2x2 max pooling: f32[B,H,W,C] -> f32[B,H//2,W//2,width]."""
    # The pool drops an odd last row or column, so the convolution does not compute it.
    padding = [(1, 0 if side % 2 and side > 1 else 1) for side in volume.shape[1:3]]
    return ops.max_pool(conv(width, padding)(volume), 2)


def norm(*, train: bool, momentum: float = 0.6) -> nn.BatchNorm:
    """BatchNorm with a bias and no scale.

    The momentum is low so that the statistics of a short run are those of its last steps.
    """
    return layers.batch_norm(train=train, momentum=momentum, epsilon=1e-12, use_scale=False)

"""PyramidNet-110 and -272: residual networks that widen with every block."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.models import layers
from cnn_jax.models.shakedrop import ShakeDrop
from cnn_jax.ranges import Fraction

# Filters of the stem.
WIDTH = 16


class PyramidNet(layers.Net):
    """Han et al. 2017 (arXiv:1610.02915), additive, f32[B,H,W,C] -> f32[B,K].

    A 3x3 convolution to 16 filters and a norm, then blocks that each add `alpha` / (number of
    blocks) filters, rounded; the blocks after one third and two thirds halve the height and width.
    Norm, ReLU, global average pooling and the scores come last. Shortcuts have no parameters.
    PyramidNet-110 with alpha=84 has 3,904,446 parameters at 10 classes.

    Attributes:
      depth: Layers with weights: 110 as published; 6n+2 in general, 9n+2 with bottlenecks (164,
        200, 236, 272).
      alpha: Number of filters that the last block has in addition to the stem's 16.
      bottleneck: Whether a block has 1x1, 3x3 and 1x1 convolutions, the last to four times the
        depth, instead of two 3x3 ones.
      shakedrop: Probability that ShakeDrop disturbs the last block in training; it rises linearly
        from the first block. 0: never; 0.5 as published.
      num_classes: Number of classes; None: taken from the data.
    """

    depth: int = 110
    alpha: int = 84
    bottleneck: bool = False
    shakedrop: Fraction[float] = 0.0
    num_classes: int | None = None

    def __post_init__(self):
        layers.depths(9 if self.bottleneck else 6, 2)(depth=self.depth)
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        kind = Bottleneck if self.bottleneck else BasicBlock
        blocks = (self.depth - 2) // (3 if self.bottleneck else 2)
        x = layers.batch_norm(train=train)(layers.Conv(WIDTH, use_bias=False)(image))
        for block in range(1, blocks + 1):
            x = kind(
                width=math.floor(WIDTH + self.alpha * block / blocks + 0.5),
                stride=2 if block in (blocks // 3 + 1, 2 * blocks // 3 + 1) else 1,
                death_rate=self.shakedrop * block / blocks,
            )(x, train=train)
        x = nn.relu(layers.batch_norm(train=train)(x))
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with norms before, between and after, one ReLU, and a shortcut."""

    width: int
    stride: int
    death_rate: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = layers.batch_norm(train=train)(x)
        y = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(y)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.width, use_bias=False)(y)
        y = layers.batch_norm(train=train)(y)
        return ShakeDrop(self.death_rate)(y, train=train) + _shortcut(x, self.stride, y.shape[-1])


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last to four times the depth, and a shortcut."""

    width: int
    stride: int
    death_rate: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = layers.batch_norm(train=train)(x)
        y = layers.Conv(self.width, kernel_size=(1, 1), use_bias=False)(y)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(y)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(4 * self.width, kernel_size=(1, 1), use_bias=False)(y)
        y = layers.batch_norm(train=train)(y)
        return ShakeDrop(self.death_rate)(y, train=train) + _shortcut(x, self.stride, y.shape[-1])


def _shortcut(x: jax.Array, stride: int, depth: int) -> jax.Array:
    """Average pooling and zero channels: f[B,H,W,C] -> f[B,ceil(H/stride),ceil(W/stride),depth]."""
    if stride > 1:
        # Edge padding makes a window beyond the edge average only real pixels.
        over = [(0, -side % stride) for side in x.shape[1:3]]
        x = jnp.pad(x, ((0, 0), *over, (0, 0)), mode="edge")
        x = nn.avg_pool(x, (stride, stride), (stride, stride))
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, depth - x.shape[-1])))


def PyramidNet110_a84(**fields) -> PyramidNet:
    """`PyramidNet(depth=110, alpha=84)`: 3,904,446 parameters."""
    return PyramidNet(depth=110, alpha=84, **fields)


def PyramidNet272_a200(**fields) -> PyramidNet:
    """`PyramidNet(depth=272, alpha=200, bottleneck=True)`: 26,210,842 parameters."""
    return PyramidNet(depth=272, alpha=200, bottleneck=True, **fields)

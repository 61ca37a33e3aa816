"""Densely connected networks: DenseNet-BC on CIFAR, and DenseNet-121 with a CIFAR stem."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models import layers
from cnn_jax.ranges import Positive, Probability


class DenseNet(layers.Net):
    """Huang et al. 2017 (arXiv:1608.06993), DenseNet-BC, f32[B,H,W,C] -> f32[B,K].

    Each layer reads the outputs of all earlier layers in its block and appends `growth` channels.
    Between blocks, a transition reduces the channels and halves the height and width. The stem is a
    3x3 convolution of stride 1 with 2 `growth` filters; norm, ReLU, global average pooling and the
    scores come last. The image must be large enough for one halving per transition. The default,
    DenseNet-BC-40-12, has 176,122 parameters at 10 classes.

    Attributes:
      blocks: Number of layers in each block; each layer is two convolutions.
      growth: Channels that a layer appends; its hidden volume is four times as deep.
      compression: Fraction of the channels that a transition keeps, above 0 and at most 1.
      num_classes: Number of classes; None: taken from the data.
    """

    blocks: tuple[int, ...] = (6, 6, 6)
    growth: int = 12
    compression: Positive[Probability[float]] = 0.5
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(2 * self.growth, use_bias=False)(image)
        known: ops.Moments | None = None
        for block, count in enumerate(self.blocks):
            if block > 0:
                x = Transition(self.compression)(x, known, train=train)
            # The layers of a block normalise the same channels: their moments are computed once.
            known = layers.moments(x, train=train)
            for _ in range(count):
                y = DenseLayer(self.growth)(x, known, train=train)
                x = jnp.concatenate([x, y], axis=-1)
                known = known and known.joined(ops.moments(y))
        x = nn.relu(_norm(x, known, train=train))
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class DenseLayer(nn.Module):
    """A 1x1 and a 3x3 convolution: depth D -> growth."""

    growth: int

    @nn.compact
    def __call__(self, x: jax.Array, known: ops.Moments | None = None, *, train: bool) -> jax.Array:
        y = nn.relu(_norm(x, known, train=train))
        y = layers.Conv(4 * self.growth, kernel_size=(1, 1), use_bias=False)(y)
        y = nn.relu(layers.batch_norm(train=train)(y))
        return layers.Conv(self.growth, use_bias=False)(y)


class Transition(nn.Module):
    """A 1x1 convolution to a fraction of the depth, rounded down, and 2x2 average pooling."""

    compression: float

    @nn.compact
    def __call__(self, x: jax.Array, known: ops.Moments | None = None, *, train: bool) -> jax.Array:
        depth = max(1, int(self.compression * x.shape[-1]))
        x = nn.relu(_norm(x, known, train=train))
        x = layers.Conv(depth, kernel_size=(1, 1), use_bias=False)(x)
        return nn.avg_pool(x, (2, 2), (2, 2))


def _norm(x: jax.Array, known: ops.Moments | None, *, train: bool) -> jax.Array:
    options: Any = {"known": known} if known else {}  # which Flax's norm does not have
    return layers.batch_norm(train=train)(x, **options)


def DenseNetBC40_12(**fields) -> DenseNet:
    """`DenseNet(blocks=(6, 6, 6), growth=12)`: 176,122 parameters."""
    return DenseNet(blocks=(6, 6, 6), growth=12, **fields)


def DenseNetBC100_12(**fields) -> DenseNet:
    """`DenseNet(blocks=(16, 16, 16), growth=12)`: 769,162 parameters."""
    return DenseNet(blocks=(16, 16, 16), growth=12, **fields)


def DenseNetBC190_40(**fields) -> DenseNet:
    """`DenseNet(blocks=(31, 31, 31), growth=40)`: 25,624,430 parameters."""
    return DenseNet(blocks=(31, 31, 31), growth=40, **fields)


def DenseNet121(**fields) -> DenseNet:
    """`DenseNet(blocks=(6, 12, 24, 16), growth=32)`: 6,956,298 parameters."""
    return DenseNet(blocks=(6, 12, 24, 16), growth=32, **fields)

"""Shake-Shake: residual networks with two randomly mixed branches."""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.models import layers
from cnn_jax.models.shakedrop import scaled


class ShakeShake(layers.Net):
    """Gastaldi 2017 (arXiv:1705.07485), "Shake-Shake-Image", f32[B,H,W,C] -> f32[B,K].

    A 3x3 convolution to 16 filters and a norm, three stages of (depth-2)/6 two-branch blocks with
    w, 2w and 4w filters, ReLU, global average pooling, scores. The default, 26 2x32d, has 2,923,162
    parameters at 10 classes.

    Attributes:
      depth: Layers with weights, along one branch: 26 as published; 6n+2 in general.
      width: Filters of the first stage: 32, 64 or 96 as published.
      num_classes: Number of classes; None: taken from the data.
    """

    depth: Annotated[int, layers.depths(6, 2)] = 26
    width: int = 32
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.batch_norm(train=train)(layers.Conv(16, use_bias=False)(image))
        blocks = (self.depth - 2) // 6
        for width, stride in layers.stages((blocks,) * 3, self.width):
            x = ShakeBlock(width, stride)(x, train=train)
        return layers.scores(self.num_classes)(nn.relu(x).mean(axis=(1, 2)))


class ShakeBlock(nn.Module):
    """A shortcut plus alpha times one branch plus (1 - alpha) times the other.

    In training, alpha is uniform in [0, 1] per image, and the gradients use a second, independent
    draw. In evaluation alpha is 0.5.
    """

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        active = nn.relu(x)
        first = Branch(self.width, self.stride)(active, train=train)
        second = Branch(self.width, self.stride)(active, train=train)
        if train:
            keys = jax.random.split(self.make_rng("dropout"))
            alpha, beta = (jax.random.uniform(key, (x.shape[0], 1, 1, 1)) for key in keys)
            mixed = second + scaled(first - second, alpha, beta)
        else:
            mixed = 0.5 * (first + second)
        if x.shape != mixed.shape:
            x = Shortcut(self.width, self.stride)(active, train=train)
        return x + mixed


class Branch(nn.Module):
    """Two 3x3 convolutions, each with a norm, and a ReLU between them."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(x)
        x = nn.relu(layers.batch_norm(train=train)(x))
        x = layers.Conv(self.width, use_bias=False)(x)
        return layers.batch_norm(train=train)(x)


class Shortcut(nn.Module):
    """Two 1x1 convolutions to half the depth each; the second is shifted by a pixel."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shifted = jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)))[:, :-1, :-1]
        half = self.width // 2
        parts = [
            layers.Conv(filters, kernel_size=(1, 1), strides=self.stride, use_bias=False)(pixels)
            for pixels, filters in ((x, half), (shifted, self.width - half))
        ]
        return layers.batch_norm(train=train)(jnp.concatenate(parts, axis=-1))


def ShakeShake26_2x32d(**fields) -> ShakeShake:
    """`ShakeShake(depth=26, width=32)`: 2,923,162 parameters."""
    return ShakeShake(depth=26, width=32, **fields)


def ShakeShake26_2x96d(**fields) -> ShakeShake:
    """`ShakeShake(depth=26, width=96)`: 26,192,922 parameters."""
    return ShakeShake(depth=26, width=96, **fields)

"""The CIFAR family of residual networks: ResNet-20 to ResNet-110."""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.models import layers


class ResNet(layers.Net):
    """He et al. 2015 (arXiv:1512.03385), section 4.2, f32[B,H,W,C] -> f32[B,K].

    A 3x3 convolution, three stages of (depth-2)/6 blocks with w, 2w and 4w filters, global average
    pooling, scores. Shortcuts have no parameters (option A: strided pixels, padded with zero
    channels).
    ResNet-20 has 269,722 parameters at 10 classes, ResNet-110 1,727,962.

    Attributes:
      depth: Layers with weights: 20, 32, 44, 56, 110 as published; 6n+2 in general.
      width: Filters of the first stage.
      num_classes: Number of classes; None: taken from the data.
    """

    depth: Annotated[int, layers.depths(6, 2)] = 20
    width: int = 16
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(self.width, use_bias=False)(image)
        x = nn.relu(layers.batch_norm(train=train)(x))
        blocks = (self.depth - 2) // 6
        for width, stride in layers.stages((blocks,) * 3, self.width):
            x = Block(width, stride)(x, train=train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(x)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.width, use_bias=False)(y)
        y = layers.batch_norm(train=train)(y)
        shortcut = x[:, :: self.stride, :: self.stride]
        added = self.width - x.shape[-1]
        shortcut = jnp.pad(shortcut, ((0, 0), (0, 0), (0, 0), (added // 2, added - added // 2)))
        return nn.relu(y + shortcut)


def ResNet20(**fields) -> ResNet:
    """`ResNet(depth=20)`: 269,722 parameters."""
    return ResNet(depth=20, **fields)


def ResNet32(**fields) -> ResNet:
    """`ResNet(depth=32)`: 464,154 parameters."""
    return ResNet(depth=32, **fields)


def ResNet44(**fields) -> ResNet:
    """`ResNet(depth=44)`: 658,586 parameters."""
    return ResNet(depth=44, **fields)


def ResNet56(**fields) -> ResNet:
    """`ResNet(depth=56)`: 853,018 parameters."""
    return ResNet(depth=56, **fields)


def ResNet110(**fields) -> ResNet:
    """`ResNet(depth=110)`: 1,727,962 parameters."""
    return ResNet(depth=110, **fields)

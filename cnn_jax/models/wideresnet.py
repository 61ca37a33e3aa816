"""Wide residual networks: WRN-16-4 to WRN-40-4."""

from typing import Annotated

import flax.linen as nn
import jax

from cnn_jax.models import layers
from cnn_jax.ranges import Fraction

# Filters of the stem; the first stage has `widen` times as many.
WIDTH = 16


class WideResNet(layers.Net):
    """Zagoruyko and Komodakis 2016 (arXiv:1605.07146), f32[B,H,W,C] -> f32[B,K].

    A 3x3 convolution to 16 filters, three stages of (depth-4)/6 pre-activation blocks with 16, 32
    and 64 times `widen` filters, norm, ReLU, global average pooling, scores. WRN-16-4 has 2,748,890
    parameters at 10 classes, WRN-28-10 36,479,194.

    Attributes:
      depth: Number of convolutions: 16, 22, 28, 40 as published; 6n+4 in general.
      widen: Factor on the filters of the thin network.
      dropout: Dropout rate between a block's convolutions.
      num_classes: Number of classes; None: taken from the data.
    """

    depth: Annotated[int, layers.depths(6, 4)] = 16
    widen: int = 4
    dropout: Fraction[float] = 0.0
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(WIDTH, use_bias=False)(image)
        blocks = (self.depth - 4) // 6
        for width, stride in layers.stages((blocks,) * 3, WIDTH * self.widen):
            x = WideBlock(width, stride, self.dropout)(x, train=train)
        x = nn.relu(layers.batch_norm(train=train)(x))
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class WideBlock(nn.Module):
    """Two 3x3 convolutions with dropout between them, and a shortcut.

    If the shape changes, the shortcut is a 1x1 convolution of the block's first activation.
    """

    width: int
    stride: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        active = nn.relu(layers.batch_norm(train=train)(x))
        y = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(active)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = nn.Dropout(self.dropout, deterministic=not train)(y)
        y = layers.Conv(self.width, use_bias=False)(y)
        return y + layers.shortcut(x, y, self.stride, active)


def WRN16_4(**fields) -> WideResNet:
    """`WideResNet(depth=16, widen=4)`: 2,748,890 parameters."""
    return WideResNet(depth=16, widen=4, **fields)


def WRN16_8(**fields) -> WideResNet:
    """`WideResNet(depth=16, widen=8)`: 10,961,370 parameters."""
    return WideResNet(depth=16, widen=8, **fields)


def WRN28_10(**fields) -> WideResNet:
    """`WideResNet(depth=28, widen=10)`: 36,479,194 parameters."""
    return WideResNet(depth=28, widen=10, **fields)


def WRN40_4(**fields) -> WideResNet:
    """`WideResNet(depth=40, widen=4)`: 8,949,210 parameters."""
    return WideResNet(depth=40, widen=4, **fields)

"""MobileNetV2: depthwise convolutions in wide blocks, shortcuts between their narrow ends."""

import flax.linen as nn
import jax

from cnn_jax import ranges
from cnn_jax.models import layers

# Of each stage: how many times wider a block is inside, its filters, its blocks, the first stride.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(layers.Net):
    """Sandler et al. 2018 (arXiv:1801.04381), table 2, f32[B,H,W,C] -> f32[B,K].

    The form of github.com/kuangliu/pytorch-cifar. For small images the first convolution and the
    second stage have stride 1 instead of 2. It also differs from the publication in that ReLU
    stands for ReLU6, the first block has its (not widening) 1x1 convolution too, and every block of
    stride 1 has a shortcut: a 1x1 convolution with BatchNorm where the depth changes. 2,296,922
    parameters at 10 classes at any size of the image.

    Attributes:
      width: What every number of filters is multiplied by, but the last convolution's where it is
        below 1; rounded to a multiple of 8, not more than a tenth down.
      num_classes: Number of class scores; None: as many as the data has.
    """

    width: float = 1.0
    num_classes: int | None = None

    def __post_init__(self):
        ranges.positive(width=self.width)
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(_eights(32 * self.width), use_bias=False)(image)
        x = nn.relu(layers.batch_norm(train=train)(x))
        for expansion, filters, blocks, stride in STAGES:
            for block in range(blocks):
                x = Block(expansion, _eights(filters * self.width), 1 if block else stride)(
                    x, train=train
                )
        last = _eights(1280 * max(1.0, self.width))
        x = layers.Conv(last, kernel_size=(1, 1), use_bias=False)(x)
        x = nn.relu(layers.batch_norm(train=train)(x))
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class Block(nn.Module):
    """An inverted residual: 1x1 to more channels, 3x3 on each of them, 1x1 to few, no ReLU."""

    expansion: int
    filters: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        inside = self.expansion * x.shape[-1]
        y = layers.Conv(inside, kernel_size=(1, 1), use_bias=False)(x)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(
            inside, strides=self.stride, padding=1, feature_group_count=inside, use_bias=False
        )(y)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.filters, kernel_size=(1, 1), use_bias=False)(y)
        y = layers.batch_norm(train=train)(y)
        if self.stride > 1:
            return y
        if x.shape != y.shape:
            x = layers.Conv(self.filters, kernel_size=(1, 1), use_bias=False)(x)
            x = layers.batch_norm(train=train)(x)
        return y + x


def _eights(filters: float) -> int:
    """The nearest multiple of 8, the next one where that is more than a tenth less."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8

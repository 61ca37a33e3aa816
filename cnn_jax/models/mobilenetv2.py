"""MobileNetV2: inverted residual blocks with depthwise convolutions."""

import flax.linen as nn
import jax

from cnn_jax.models import layers
from cnn_jax.ranges import Positive

# Expansion, filters, number of blocks and stride of the first block, by stage.
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
    replaces ReLU6, the first block keeps its (non-expanding) 1x1 convolution, and every block of
    stride 1 has a shortcut: a 1x1 convolution with BatchNorm if the depth changes. 2,296,922
    parameters at 10 classes, whatever the image size.

    Attributes:
      width: Multiplier of all numbers of filters, except that the last convolution is never
        narrowed; results are rounded to a multiple of 8, down by at most a tenth.
      num_classes: Number of classes; None: taken from the data.
    """

    width: Positive[float] = 1.0
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(round_to_8(32 * self.width), use_bias=False)(image)
        x = nn.relu(layers.batch_norm(train=train)(x))
        for expansion, filters, blocks, stride in STAGES:
            for block in range(blocks):
                x = Block(expansion, round_to_8(filters * self.width), 1 if block else stride)(
                    x, train=train
                )
        last = round_to_8(1280 * max(1.0, self.width))
        x = layers.Conv(last, kernel_size=(1, 1), use_bias=False)(x)
        x = nn.relu(layers.batch_norm(train=train)(x))
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class Block(nn.Module):
    """An inverted residual: 1x1 expansion, depthwise 3x3, linear 1x1 projection."""

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


def round_to_8(filters: float) -> int:
    # As in the reference code: rounding must not remove more than a tenth of the filters.
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8

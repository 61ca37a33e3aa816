"""MobileNetV2 on ImageNet, as published."""

from typing import ClassVar

import flax.linen as nn
import jax

from cnn_jax.models import layers, mobilenetv2
from cnn_jax.models.mobilenetv2 import round_to_8
from cnn_jax.ranges import Fraction, Positive

# As in the form for small images, but for the second stage's stride.
STAGES = (mobilenetv2.STAGES[0], (6, 24, 2, 2), *mobilenetv2.STAGES[2:])


class ImageNetMobileNetV2(layers.Net):
    """Sandler et al. 2018 (arXiv:1801.04381), table 2, f32[B,H,W,C] -> f32[B,K].

    The form of torchvision, whose weights `init_from` loads. A 3x3 convolution at stride 2, stages
    of inverted residual blocks with ReLU6, a 1x1 convolution, global average pooling, dropout and
    the scores. The first block has no expansion, and only blocks that keep the shape have a
    shortcut. 3,504,872 parameters on colour images at 1,000 classes, whatever their size.

    Attributes:
      width: Multiplier of all numbers of filters, except that the last convolution is never
        narrowed; results are rounded to a multiple of 8, down by at most a tenth.
      dropout: Probability of dropping each of the means before the scores in training.
      num_classes: Number of classes; None: taken from the data.
    """

    published_on: ClassVar[layers.Published] = layers.Published((224, 224, 3), 1000)

    width: Positive[float] = 1.0
    dropout: Fraction[float] = 0.2
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        first = layers.Conv(round_to_8(32 * self.width), strides=2, padding=1, use_bias=False)
        x = nn.relu6(layers.batch_norm(train=train)(first(image)))
        for expansion, filters, blocks, stride in STAGES:
            for block in range(blocks):
                width, step = round_to_8(filters * self.width), 1 if block else stride
                x = Block(expansion, width, step)(x, train=train)
        last = layers.Conv(
            round_to_8(1280 * max(1.0, self.width)), kernel_size=(1, 1), use_bias=False
        )
        x = nn.relu6(layers.batch_norm(train=train)(last(x)))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.mean(axis=(1, 2)))
        return layers.scores(self.num_classes)(x)


class Block(nn.Module):
    """An inverted residual: 1x1 expansion if any, depthwise 3x3, linear 1x1 projection."""

    expansion: int
    filters: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y, inside = x, self.expansion * x.shape[-1]
        if self.expansion > 1:
            y = layers.Conv(inside, kernel_size=(1, 1), use_bias=False)(y)
            y = nn.relu6(layers.batch_norm(train=train)(y))
        y = layers.Conv(
            inside, strides=self.stride, padding=1, feature_group_count=inside, use_bias=False
        )(y)
        y = nn.relu6(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.filters, kernel_size=(1, 1), use_bias=False)(y)
        y = layers.batch_norm(train=train)(y)
        return x + y if x.shape == y.shape and self.stride == 1 else y

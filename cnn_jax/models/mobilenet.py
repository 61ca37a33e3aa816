"""MobileNet: depthwise separable convolutions."""

import flax.linen as nn
import jax

from cnn_jax.models import layers
from cnn_jax.ranges import Positive

# Filters, number of blocks and stride of the first block, by stage.
STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))


class MobileNet(layers.Net):
    """Howard et al. 2017 (arXiv:1704.04861), table 1, f32[B,H,W,C] -> f32[B,K].

    The form of github.com/kuangliu/pytorch-cifar: the first convolution has stride 1 instead of 2,
    for small images. 3,217,226 parameters at 10 classes, whatever the image size.

    Attributes:
      width: Multiplier of all numbers of filters; the result is rounded down, and at least 8.
      num_classes: Number of classes; None: taken from the data.
    """

    width: Positive[float] = 1.0
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(self._filters(32), use_bias=False)(image)
        x = nn.relu(layers.batch_norm(train=train)(x))
        for filters, blocks, stride in STAGES:
            for block in range(blocks):
                x = Block(self._filters(filters), 1 if block else stride)(x, train=train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))

    def _filters(self, published: int) -> int:
        return max(8, int(self.width * published))


class Block(nn.Module):
    """A depthwise 3x3 convolution, then a pointwise one."""

    filters: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        channels = x.shape[-1]
        x = layers.Conv(
            channels, strides=self.stride, padding=1, feature_group_count=channels, use_bias=False
        )(x)
        x = nn.relu(layers.batch_norm(train=train)(x))
        x = layers.Conv(self.filters, kernel_size=(1, 1), use_bias=False)(x)
        return nn.relu(layers.batch_norm(train=train)(x))

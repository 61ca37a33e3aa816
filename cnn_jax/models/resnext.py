"""ResNeXt-29: residual networks with grouped convolutions."""

from typing import Annotated

import flax.linen as nn
import jax

from cnn_jax.models import layers

# Depth of the first stage's volumes; it doubles with each stage.
DEPTH = 256


class ResNeXt(layers.Net):
    """Xie et al. 2017 (arXiv:1611.05431), section 5.3, f32[B,H,W,C] -> f32[B,K].

    A convolution to 64 filters, three stages of (depth-2)/9 bottleneck blocks with grouped 3x3
    convolutions, global average pooling, scores. The volumes are 256, 512 and 1024 deep. The
    default, ResNeXt-29 8x64d as in the authors' code, has 34,426,698 parameters at 10 classes.

    Attributes:
      depth: Layers with weights: 29 as published; 9n+2 in general.
      cardinality: Number of groups.
      group_width: Filters of each group in the first stage; they double with each stage.
      stem: Side of the first convolution's window, in pixels: 3 in the authors' code, 1 in
        github.com/kuangliu/pytorch-cifar.
      num_classes: Number of classes; None: taken from the data.
    """

    depth: Annotated[int, layers.depths(9, 2)] = 29
    cardinality: int = 8
    group_width: int = 64
    stem: int = 3
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(64, kernel_size=(self.stem, self.stem), use_bias=False)(image)
        x = nn.relu(layers.batch_norm(train=train)(x))
        blocks = (self.depth - 2) // 9
        for width, stride in layers.stages((blocks,) * 3, self.cardinality * self.group_width):
            depth = DEPTH * width // (self.cardinality * self.group_width)
            x = Bottleneck(self.cardinality, width, depth, stride)(x, train=train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class Bottleneck(nn.Module):
    """1x1 to `width` filters, grouped 3x3, 1x1 to `depth` filters, and a shortcut."""

    groups: int
    width: int
    depth: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = layers.Conv(self.width, kernel_size=(1, 1), use_bias=False)(x)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(
            self.width,
            strides=self.stride,
            padding=1,
            feature_group_count=self.groups,
            use_bias=False,
        )(y)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.depth, kernel_size=(1, 1), use_bias=False)(y)
        y = layers.batch_norm(train=train)(y)
        if x.shape != y.shape:
            x = layers.batch_norm(train=train)(layers.projection(x, y, self.stride))
        return nn.relu(y + x)


def ResNeXt29_2x64d(**fields) -> ResNeXt:
    """`ResNeXt(depth=29, cardinality=2, group_width=64, stem=1)`: 9,128,778 parameters."""
    return ResNeXt(depth=29, cardinality=2, group_width=64, stem=1, **fields)


def ResNeXt29_8x64d(**fields) -> ResNeXt:
    """`ResNeXt(depth=29, cardinality=8, group_width=64)`: 34,426,698 parameters."""
    return ResNeXt(depth=29, cardinality=8, group_width=64, **fields)

"""The ImageNet family of residual networks with a CIFAR stem: ResNet-18 and ResNet-34."""

import flax.linen as nn
import jax

from cnn_jax.models import layers


class StagedResNet(layers.Net):
    """He et al. 2015 (arXiv:1512.03385), table 1, f32[B,H,W,C] -> f32[B,K].

    The stem is a 3x3 convolution at full size, as is customary on 32x32 images. Stages of basic
    blocks follow, each after the first halving height and width and doubling the depth; shortcuts
    across those are 1x1 convolutions. ResNet-18 has 11,173,962 parameters at 10 classes.

    Attributes:
      blocks: Number of blocks in each stage.
      width: Filters of the first stage.
      num_classes: Number of class scores; None: as many as the data has.
    """

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    width: int = 64
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(self.width, use_bias=False)(image)
        x = nn.relu(layers.batch_norm(train=train)(x))
        for width, stride in layers.stages(self.blocks, self.width):
            x = BasicBlock(width, stride)(x, train=train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected by 1x1 where the volume changes."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(x)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.width, use_bias=False)(y)
        y = layers.batch_norm(train=train)(y)
        if x.shape != y.shape:
            x = layers.batch_norm(train=train)(layers.projection(x, y, self.stride))
        return nn.relu(y + x)


def ResNet18(**fields) -> StagedResNet:
    """`StagedResNet(blocks=(2, 2, 2, 2))`: 11,173,962 parameters."""
    return StagedResNet(blocks=(2, 2, 2, 2), **fields)


def ResNet34(**fields) -> StagedResNet:
    """`StagedResNet(blocks=(3, 4, 6, 3))`: 21,282,122 parameters."""
    return StagedResNet(blocks=(3, 4, 6, 3), **fields)

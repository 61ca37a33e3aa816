"""The ImageNet family of pre-activation residual networks with a CIFAR stem."""

import flax.linen as nn
import jax

from cnn_jax.models import layers


class StagedPreActResNet(layers.Net):
    """He et al. 2016 (arXiv:1603.05027), in four stages, f32[B,H,W,C] -> f32[B,K].

    Norm and ReLU precede each convolution, so shortcuts are identities from block to block. Where
    the shape changes, the shortcut is a 1x1 convolution of the block's first activation. As in
    github.com/kuangliu/pytorch-cifar, the last block is not followed by norm and ReLU.
    PreActResNet-18 has 11,171,146 parameters at 10 classes.

    Attributes:
      blocks: Number of blocks in each stage.
      width: Filters of the first stage's 3x3 convolutions.
      bottleneck: Whether a block has 1x1, 3x3 and 1x1 convolutions, the last to four times the
        depth, instead of two 3x3 ones.
      num_classes: Number of classes; None: taken from the data.
    """

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    width: int = 64
    bottleneck: bool = False
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        block = PreActBottleneck if self.bottleneck else PreActBlock
        x = layers.Conv(self.width, use_bias=False)(image)
        for width, stride in layers.stages(self.blocks, self.width):
            x = block(width, stride)(x, train=train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class PreActBlock(nn.Module):
    """Two 3x3 convolutions, each after norm and ReLU, and a shortcut."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        active = nn.relu(layers.batch_norm(train=train)(x))
        y = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(active)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.width, use_bias=False)(y)
        return y + layers.shortcut(x, y, self.stride, active)


class PreActBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last to four times the depth, and a shortcut."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        active = nn.relu(layers.batch_norm(train=train)(x))
        y = layers.Conv(self.width, kernel_size=(1, 1), use_bias=False)(active)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(y)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(4 * self.width, kernel_size=(1, 1), use_bias=False)(y)
        return y + layers.shortcut(x, y, self.stride, active)


def PreActResNet18(**fields) -> StagedPreActResNet:
    """`StagedPreActResNet(blocks=(2, 2, 2, 2))`: 11,171,146 parameters."""
    return StagedPreActResNet(blocks=(2, 2, 2, 2), **fields)


def PreActResNet50(**fields) -> StagedPreActResNet:
    """`StagedPreActResNet(blocks=(3, 4, 6, 3), bottleneck=True)`: 23,509,066 parameters."""
    return StagedPreActResNet(blocks=(3, 4, 6, 3), bottleneck=True, **fields)

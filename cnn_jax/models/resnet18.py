"""ResNet-18 and ResNet-34: the ImageNet architecture with either stem."""

import flax.linen as nn
import jax

from cnn_jax.models import layers
from cnn_jax.models.resnet_stem import Stem, resnet_stem


class StagedResNet(layers.Net):
    """He et al. 2015 (arXiv:1512.03385), table 1, f32[B,H,W,C] -> f32[B,K].

    Stages of basic blocks follow a stem; each stage after the first halves the height and width and
    doubles the depth. Shortcuts that change the shape are 1x1 convolutions. ResNet-18 has
    11,173,962 parameters at 10 classes. With `stem="imagenet"` and 1,000 classes it has 11,689,512,
    ResNet-34 21,797,672, and `init_from` loads torchvision's weights.

    Attributes:
      blocks: Number of blocks in each stage.
      width: Filters of the first stage.
      stem: The layers before the blocks: "cifar", a 3x3 convolution of stride 1, as is usual for
        32x32 images; or "imagenet", a 7x7 convolution of stride 2 and a 3x3 pool of stride 2, as
        published.
      num_classes: Number of classes; None: taken from the data.
    """

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    width: int = 64
    stem: Stem = "cifar"
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = resnet_stem(image, self.width, self.stem, train=train)
        for width, stride in layers.stages(self.blocks, self.width):
            x = BasicBlock(width, stride)(x, train=train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution if the shape changes."""

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

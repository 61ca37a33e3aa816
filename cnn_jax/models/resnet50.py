"""ResNet-50, -101 and -152: the ImageNet bottleneck architecture with either stem."""

import flax.linen as nn
import jax

from cnn_jax.models import layers
from cnn_jax.models.resnet_stem import Stem, resnet_stem


class BottleneckResNet(layers.Net):
    """He et al. 2015 (arXiv:1512.03385), table 1, f32[B,H,W,C] -> f32[B,K].

    Stages of bottleneck blocks follow a stem; each stage after the first halves the height and
    width (in its first 3x3 convolution, as in ResNet v1.5) and doubles the depth. Shortcuts that
    change the shape are 1x1 convolutions. ResNet-50 has 23,520,842 parameters at 10 classes. With
    `stem="imagenet"` and 1,000 classes it has 25,557,032, ResNet-101 44,549,160, ResNet-152
    60,192,808, and `init_from` loads torchvision's weights.

    Attributes:
      blocks: Number of blocks in each stage.
      width: Filters of the first stage's 3x3 convolutions; its volumes are four times as deep.
      stem: The layers before the blocks: "cifar", a 3x3 convolution of stride 1, as is usual for
        32x32 images; or "imagenet", a 7x7 convolution of stride 2 and a 3x3 pool of stride 2, as
        published.
      num_classes: Number of classes; None: taken from the data.
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    stem: Stem = "cifar"
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = resnet_stem(image, self.width, self.stem, train=train)
        for width, stride in layers.stages(self.blocks, self.width):
            x = Bottleneck(width, stride)(x, train=train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last to four times the depth, and a shortcut."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        y = layers.Conv(self.width, kernel_size=(1, 1), use_bias=False)(x)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(y)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(4 * self.width, kernel_size=(1, 1), use_bias=False)(y)
        y = layers.batch_norm(train=train)(y)
        if x.shape != y.shape:
            x = layers.batch_norm(train=train)(layers.projection(x, y, self.stride))
        return nn.relu(y + x)


def ResNet50(**fields) -> BottleneckResNet:
    """`BottleneckResNet(blocks=(3, 4, 6, 3))`: 23,520,842 parameters."""
    return BottleneckResNet(blocks=(3, 4, 6, 3), **fields)


def ResNet101(**fields) -> BottleneckResNet:
    """`BottleneckResNet(blocks=(3, 4, 23, 3))`: 42,512,970 parameters."""
    return BottleneckResNet(blocks=(3, 4, 23, 3), **fields)


def ResNet152(**fields) -> BottleneckResNet:
    """`BottleneckResNet(blocks=(3, 8, 36, 3))`: 58,156,618 parameters."""
    return BottleneckResNet(blocks=(3, 8, 36, 3), **fields)

"""SE-ResNet-18: a residual network with squeeze and excitation."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.models import layers


class SEResNet(layers.Net):
    """Hu et al. 2018 (arXiv:1709.01507), f32[B,H,W,C] -> f32[B,K].

    A residual network of pre-activation blocks that scale the channels of their branch depending on
    the image. The stem is a 3x3 convolution of stride 1 with norm and ReLU; as in
    github.com/kuangliu/pytorch-cifar, the last block is not followed by norm and ReLU. SE-ResNet-18
    has 11,260,354 parameters at 10 classes.

    Attributes:
      blocks: Number of blocks in each stage.
      width: Filters of the first stage.
      reduction: Ratio of channels to hidden neurons in squeeze and excitation.
      num_classes: Number of classes; None: taken from the data.
    """

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    width: int = 64
    reduction: int = 16
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(self.width, use_bias=False)(image)
        x = nn.relu(layers.batch_norm(train=train)(x))
        for width, stride in layers.stages(self.blocks, self.width):
            x = SEBlock(width, stride, self.reduction)(x, train=train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class SEBlock(nn.Module):
    """Two 3x3 convolutions, each after norm and ReLU, channel scales, and a shortcut."""

    width: int
    stride: int
    reduction: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        active = nn.relu(layers.batch_norm(train=train)(x))
        y = layers.Conv(self.width, strides=self.stride, padding=1, use_bias=False)(active)
        y = nn.relu(layers.batch_norm(train=train)(y))
        y = layers.Conv(self.width, use_bias=False)(y)
        y = SqueezeExcitation(self.reduction, name="se")(y)
        return y + layers.shortcut(x, y, self.stride, active)


class SqueezeExcitation(nn.Module):
    """Scales each channel by a factor in (0, 1): f[B,H,W,C] -> f[B,H,W,C].

    Two fully connected layers compute the factors from the means of all channels.
    """

    reduction: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        hidden = nn.Dense(max(1, channels // self.reduction), kernel_init=layers.he_normal)
        scale = nn.relu(hidden(x.mean(axis=(1, 2))))
        scale = nn.sigmoid(nn.Dense(channels)(scale))
        return layers.in_float32(jnp.multiply, x, scale[:, None, None])


def SEResNet18(**fields) -> SEResNet:
    """`SEResNet(blocks=(2, 2, 2, 2))`: 11,260,354 parameters."""
    return SEResNet(blocks=(2, 2, 2, 2), **fields)

"""GoogLeNet with BatchNorm: Inception modules with windows of several sizes in parallel."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models import layers

# Filters in each module, by stage: 1x1; 1x1 and 3x3; 1x1 and both 3x3; 1x1 after the pool.
STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


class GoogLeNet(layers.Net):
    """Szegedy et al. 2014 (arXiv:1409.4842), f32[B,H,W,C] -> f32[B,K].

    The form of github.com/kuangliu/pytorch-cifar. The stem is one 3x3 convolution of 192 filters at
    stride 1; nine Inception modules follow in stages of two, five and two, with a 3x3 pool of
    stride 2 between the stages, then global average pooling and the scores. Each 5x5 convolution is
    replaced by two of 3x3, each convolution has a bias and BatchNorm, and there are no auxiliary
    classifiers.
    6,166,250 parameters at 10 classes, whatever the image size.

    Attributes:
      num_classes: Number of classes; None: taken from the data.
    """

    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = _conv(image, 192, 3, train=train)
        for stage, modules in enumerate(STAGES):
            if stage > 0:
                x = _pool(x, stride=2)
            for widths in modules:
                x = Inception(widths)(x, train=train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


class Inception(nn.Module):
    """Four branches over the same volume, concatenated in depth: f[B,H,W,C] -> f[B,H,W,C'].

    Attributes:
      widths: Filters of the branches, as in STAGES.
    """

    widths: tuple[int, int, int, int, int, int]

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        one, before_three, three, before_five, five, after_pool = self.widths
        by_one = _conv(x, one, 1, train=train)
        by_three = _conv(x, before_three, 1, train=train)
        by_three = _conv(by_three, three, 3, train=train)
        by_five = _conv(x, before_five, 1, train=train)
        by_five = _conv(by_five, five, 3, train=train)
        by_five = _conv(by_five, five, 3, train=train)
        pooled = _conv(_pool(x, stride=1), after_pool, 1, train=train)
        return jnp.concatenate([by_one, by_three, by_five, pooled], axis=-1)


def _conv(x: jax.Array, width: int, side: int, *, train: bool) -> jax.Array:
    x = layers.Conv(width, kernel_size=(side, side))(x)
    return nn.relu(layers.batch_norm(train=train)(x))


def _pool(x: jax.Array, stride: int) -> jax.Array:
    # After a ReLU, zero padding does not change a maximum.
    return ops.max_pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, stride=stride)

"""GoogLeNet on ImageNet, with BatchNorm."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models import layers
from cnn_jax.models.googlenet import STAGES
from cnn_jax.ranges import Fraction


class ImageNetGoogLeNet(layers.Net):
    """Szegedy et al. 2014 (arXiv:1409.4842), f32[B,H,W,C] -> f32[B,K].

    The form of torchvision, whose weights `init_from` loads. The stem is a 7x7 convolution of 64
    filters at stride 2, a pool, convolutions of 64 filters 1x1 and 192 of 3x3, and a pool; nine
    Inception modules follow in stages of two, five and two, with pools between the stages, then
    global average pooling, dropout and the scores. Pools have stride 2 and a window of 3x3, the
    last one of 2x2; a last row or column that does not fill a window is pooled too.

    Three things differ from the publication: each convolution has BatchNorm (epsilon 0.001) instead
    of a bias, 3x3 convolutions replace those of 5x5, and there are no auxiliary classifiers and no
    local response normalisation. 6,624,904 parameters on colour images at 1,000 classes, whatever
    their size.

    The weights that torchvision publishes for it were trained on pixels scaled to -1..1: set
    `normalize=Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))`. The auxiliary classifiers in that file
    are not loaded.

    Attributes:
      dropout: Probability of dropping each of the 1,024 means before the scores in training.
      num_classes: Number of classes; None: taken from the data.
    """

    published_on: ClassVar[layers.Published] = layers.Published((224, 224, 3), 1000)

    dropout: Fraction[float] = 0.2
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = _conv(image, 64, 7, strides=2, padding=3, train=train)
        x = _conv(_pool(x, 3), 64, 1, train=train)
        x = _conv(x, 192, 3, train=train)
        for modules, window in zip(STAGES, (3, 3, 2), strict=True):
            x = _pool(x, window)
            for widths in modules:
                x = Inception(widths)(x, train=train)
        x = nn.Dropout(self.dropout, deterministic=not train)(x.mean(axis=(1, 2)))
        return layers.scores(self.num_classes)(x)


class Inception(nn.Module):
    """Four branches over the same volume, concatenated in depth: f[B,H,W,C] -> f[B,H,W,C'].

    Attributes:
      widths: Filters of the branches, as in `googlenet.STAGES`.
    """

    widths: tuple[int, int, int, int, int, int]

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        one, before_three, three, before_five, five, after_pool = self.widths
        by_one = _conv(x, one, 1, train=train)
        by_three = _conv(_conv(x, before_three, 1, train=train), three, 3, train=train)
        by_five = _conv(_conv(x, before_five, 1, train=train), five, 3, train=train)
        # After a ReLU, zero padding does not change a maximum.
        pooled = ops.max_pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, stride=1)
        pooled = _conv(pooled, after_pool, 1, train=train)
        return jnp.concatenate([by_one, by_three, by_five, pooled], axis=-1)


def _conv(x: jax.Array, width: int, side: int, *, train: bool, **options) -> jax.Array:
    x = layers.Conv(width, kernel_size=(side, side), use_bias=False, **options)(x)
    return nn.relu(layers.batch_norm(train=train, epsilon=1e-3)(x))


def _pool(x: jax.Array, window: int) -> jax.Array:
    """Pools at stride 2 after padding by zeros so that the last window is full (after a ReLU)."""
    rest = [max(window - side, (window - side) % 2) for side in x.shape[1:3]]
    return ops.max_pool(jnp.pad(x, ((0, 0), *((0, more) for more in rest), (0, 0))), window, 2)

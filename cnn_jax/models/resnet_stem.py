"""The layers of a residual net before its first block, for small images and for ImageNet."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models import layers

Stem = Literal["cifar", "imagenet"]


def resnet_stem(image: jax.Array, width: int, stem: Stem, *, train: bool) -> jax.Array:
    """Applies the first convolution, BatchNorm and ReLU; called in the net's own scope.

    Args:
      image: f[B,H,W,C].
      width: Number of filters.
      stem: "cifar": 3x3 at stride 1. "imagenet": 7x7 at stride 2 and a 3x3 pool of stride 2, as in
        table 1 of arXiv:1512.03385.

    Returns:
      f[B,H,W,width], or a quarter of the height and width, rounded up, for "imagenet".
    """
    imagenet = stem == "imagenet"
    side, stride = (7, 2) if imagenet else (3, 1)
    conv = layers.Conv(
        width, kernel_size=(side, side), strides=stride, padding=side // 2, use_bias=False
    )
    x = nn.relu(layers.batch_norm(train=train)(conv(image)))
    if not imagenet:
        return x
    # After a ReLU, zero padding does not change a maximum.
    return ops.max_pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, stride=2)

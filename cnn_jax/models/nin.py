"""Network in Network: small perceptrons slid over the image, averaged into scores."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models import layers

# As published with the weights; there is no BatchNorm to make up for another start.
KERNEL = nn.initializers.normal(0.05)
# Pools of 3x3 at stride 2 see one row and column beyond the end: half the side, rounded down.
BEYOND = ((0, 1), (0, 1))


class NIN(layers.Net):
    """Lin et al. 2013 (arXiv:1312.4400), the net for CIFAR-10, f32[B,H,W,C] -> f32[B,K].

    Three blocks of a convolution (5x5, 5x5, 3x3) and two of 1x1, all with ReLU, the last of them
    the scores at every place, whose mean is the result. Between the blocks a maximum and a mean
    over 3x3 at stride 2, and dropout of a half. No norms. 966,986 parameters at 10 classes at any
    size of the image, which must be at least 4 pixels high and wide.

    Attributes:
      num_classes: Number of class scores; None: as many as the data has.
    """

    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        height, width = image.shape[1:3]
        if min(height, width) < 4:
            raise ValueError(f"two pools need a larger image than {height}x{width}")
        x = _perceptron(image, 5, (192, 160, 96))
        x = nn.Dropout(0.5, deterministic=not train)(_max_pool(x))
        x = _perceptron(x, 5, (192, 192, 192))
        x = nn.Dropout(0.5, deterministic=not train)(_mean_pool(x))
        x = _perceptron(x, 3, (192, 192))
        # A fully connected layer at every place is a convolution of 1x1.
        x = nn.relu(layers.scores(self.num_classes, kernel_init=KERNEL)(x))
        return x.mean(axis=(1, 2))


def _perceptron(x: jax.Array, side: int, widths: tuple[int, ...]) -> jax.Array:
    """A convolution with a window of so many pixels, then ones of 1x1: f[B,H,W,C]."""
    for width in widths:
        x = nn.relu(layers.Conv(width, kernel_size=(side, side), kernel_init=KERNEL)(x))
        side = 1
    return x


def _max_pool(x: jax.Array) -> jax.Array:
    """f[B,H,W,C] -> f[B,H//2,W//2,C]. After a ReLU, zeros beyond the end change no maximum."""
    return ops.max_pool(jnp.pad(x, ((0, 0), *BEYOND, (0, 0))), 3, stride=2)


def _mean_pool(x: jax.Array) -> jax.Array:
    """f[B,H,W,C] -> f[B,H//2,W//2,C], the mean over those of the 9 pixels that there are."""
    mean = nn.avg_pool(x, (3, 3), (2, 2), padding=BEYOND, count_include_pad=False)
    return mean.astype(x.dtype)

"""Network in Network: convolutions followed by 1x1 convolutions, averaged into scores."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models import layers

# The published initialisation; without BatchNorm, training depends on it.
KERNEL = nn.initializers.normal(0.05)
# 3x3 pools of stride 2 read one row and column beyond the bottom right edge.
PADDING = ((0, 1), (0, 1))


class NIN(layers.Net):
    """Lin et al. 2013 (arXiv:1312.4400), the net for CIFAR-10, f32[B,H,W,C] -> f32[B,K].

    Three blocks of a convolution (5x5, 5x5, 3x3) and two 1x1 convolutions, all with ReLU; the last
    one computes the scores at every position, which are averaged. Between the blocks are a max and
    an average pool of 3x3 and stride 2, and dropout of 0.5. No norms. 966,986 parameters
    at 10 classes, whatever the image size, which must be at least 4 pixels high and wide.

    Attributes:
      num_classes: Number of classes; None: taken from the data.
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
        # A fully connected layer at every position is a 1x1 convolution.
        x = nn.relu(layers.scores(self.num_classes, kernel_init=KERNEL)(x))
        return x.mean(axis=(1, 2))


def _perceptron(x: jax.Array, side: int, widths: tuple[int, ...]) -> jax.Array:
    """A convolution with a window of side `side`, then 1x1 convolutions."""
    for width in widths:
        x = nn.relu(layers.Conv(width, kernel_size=(side, side), kernel_init=KERNEL)(x))
        side = 1
    return x


def _max_pool(x: jax.Array) -> jax.Array:
    # After a ReLU, zero padding does not change a maximum.
    return ops.max_pool(jnp.pad(x, ((0, 0), *PADDING, (0, 0))), 3, stride=2)


def _mean_pool(x: jax.Array) -> jax.Array:
    mean = nn.avg_pool(x, (3, 3), (2, 2), padding=PADDING, count_include_pad=False)
    return mean.astype(x.dtype)

"""AlexNet, adapted to 32x32 images."""

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models import layers


class AlexNet(layers.Net):
    """Krizhevsky 2014 (arXiv:1404.5997), f32[B,H,W,C] -> f32[B,K].

    The form of github.com/bearpaw/pytorch-classification: convolutions of 64 filters 11x11 at
    stride 4, 192 of 5x5, and 384, 256 and 256 of 3x3, with pools after the first, the second and
    the last, and one fully connected layer instead of three. No norms, no dropout. The last pool is
    global, which on 32x32 images equals the 2x2 pool there, so the number of parameters does not
    depend on the image size: 2,472,266 at 10 classes. The image must be at least 13 pixels high and
    wide.

    Attributes:
      num_classes: Number of classes; None: taken from the data.
    """

    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = nn.relu(layers.Conv(64, kernel_size=(11, 11), strides=4, padding=5)(image))
        x = ops.max_pool(x, 2)
        x = nn.relu(layers.Conv(192, kernel_size=(5, 5))(x))
        x = ops.max_pool(x, 2)
        for filters in (384, 256, 256):
            x = nn.relu(layers.Conv(filters)(x))
        return layers.scores(self.num_classes)(x.max(axis=(1, 2)))

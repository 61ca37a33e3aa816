"""LeNet-5 with ReLU and max pooling, as in common CIFAR-10 tutorials."""

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models import layers


class LeNet(layers.Net):
    """LeCun et al. 1998, with ReLU and max pooling, f32[B,H,W,C] -> f32[B,K].

    Two 5x5 convolutions without padding (6 and 16 filters), each followed by a 2x2 pool, then fully
    connected layers of 120, 84 and K. 62,006 parameters on 32x32x3 at 10 classes; the image must be
    at least 16 pixels high and wide.

    Attributes:
      num_classes: Number of classes; None: taken from the data.
    """

    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = image
        for filters in (6, 16):
            x = nn.relu(layers.Conv(filters, kernel_size=(5, 5), padding="VALID")(x))
            x = ops.max_pool(x, 2)
        x = layers.flatten(x)
        for neurons in (120, 84):
            x = nn.relu(nn.Dense(neurons, kernel_init=layers.he_normal)(x))
        return layers.scores(self.num_classes)(x)

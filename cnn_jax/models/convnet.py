"""The ConvNet of docs/lesson.md: INPUT - [CONV - RELU - CONV - RELU - POOL]xN - FC - RELU - FC."""

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models import layers


class ConvNet(layers.Net):
    """Pairs of 3x3 convolutions, each followed by a 2x2 pool, then two fully connected layers.

    f32[B,H,W,C] -> f32[B,K]. The image must be large enough for one halving per pair. The default
    has 204,570 parameters on 32x32x3 at 10 classes.

    Attributes:
      widths: Depth of the volume in each pair of convolutions.
      hidden: Neurons in the fully connected layer before the scores.
      num_classes: Number of classes; None: taken from the data.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    hidden: int = 128
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = image
        for width in self.widths:
            x = nn.relu(layers.Conv(width)(x))
            x = nn.relu(layers.Conv(width)(x))
            x = ops.max_pool(x, 2)
        x = layers.flatten(x)
        x = nn.relu(nn.Dense(self.hidden, kernel_init=layers.he_normal)(x))
        return layers.scores(self.num_classes)(x)

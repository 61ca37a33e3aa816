"""ZFNet, adapted to 32x32 images."""

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models import layers


class ZFNet(layers.Net):
    """Zeiler and Fergus 2013 (arXiv:1311.2901), figure 3, f32[B,H,W,C] -> f32[B,K].

    Convolutions of 96 filters 7x7, 256 of 5x5, and 384, 384 and 256 of 3x3, with 3x3 pools of
    stride 2 after the first, the second and the last; then fully connected layers with dropout of
    0.5. Changed for small images: the first two convolutions have stride 1 instead of 2, and the
    fully connected layers `hidden` neurons instead of 4096. BatchNorm replaces the contrast
    normalisation after the first two pools. No accuracy on CIFAR-10 is published.

    7,147,338 parameters on 32x32x3 at 10 classes, more on larger images. The image must be at least
    15 pixels high and wide.

    Attributes:
      hidden: Neurons in each of the two fully connected layers before the scores.
      num_classes: Number of classes; None: taken from the data.
    """

    hidden: int = 1024
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = image
        for filters, side in ((96, 7), (256, 5)):
            x = nn.relu(layers.Conv(filters, kernel_size=(side, side))(x))
            x = layers.batch_norm(train=train)(ops.max_pool(x, 3, stride=2))
        for filters in (384, 384, 256):
            x = nn.relu(layers.Conv(filters)(x))
        x = layers.flatten(ops.max_pool(x, 3, stride=2))
        for _ in range(2):
            x = nn.relu(nn.Dense(self.hidden, kernel_init=layers.he_normal)(x))
            x = nn.Dropout(0.5, deterministic=not train)(x)
        return layers.scores(self.num_classes)(x)

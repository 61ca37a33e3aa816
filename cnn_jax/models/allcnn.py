"""All-CNN: convolutions of stride 2 instead of pools."""

import flax.linen as nn
import jax

from cnn_jax.models import layers


class AllCNN(layers.Net):
    """All-CNN-C of Springenberg et al. 2014 (arXiv:1412.6806), f32[B,H,W,C] -> f32[B,K].

    3x3 convolutions with ReLU: three of `width` filters and three of twice as many, the third of
    each three at stride 2; then a 3x3 convolution without padding, a 1x1 convolution, and the
    scores at every position, also with ReLU, which are averaged. Dropout is 0.2 on the image and
    0.5 after each strided convolution. No norms. 1,369,738 parameters at 10 classes, whatever the
    image size, which must be at least 9 pixels high and wide.

    Attributes:
      width: Filters of the first three convolutions.
      num_classes: Number of classes; None: taken from the data.
    """

    width: int = 96
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = nn.Dropout(0.2, deterministic=not train)(image)
        for filters in (self.width, 2 * self.width):
            for stride in (1, 1, 2):
                x = nn.relu(layers.Conv(filters, strides=stride, padding=1)(x))
            x = nn.Dropout(0.5, deterministic=not train)(x)
        height, width = x.shape[1:3]
        if min(height, width) < 3:
            raise ValueError(
                f"a 3x3 window without padding needs a larger volume than {height}x{width}"
            )
        x = nn.relu(layers.Conv(2 * self.width, padding="VALID")(x))
        x = nn.relu(layers.Conv(2 * self.width, kernel_size=(1, 1))(x))
        # A fully connected layer at every position is a 1x1 convolution.
        x = nn.relu(layers.scores(self.num_classes)(x))
        return x.mean(axis=(1, 2))

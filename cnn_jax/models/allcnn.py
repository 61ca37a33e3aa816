"""The all convolutional net: convolutions of stride 2 instead of pools."""

import flax.linen as nn
import jax

from cnn_jax.models import layers


class AllCNN(layers.Net):
    """All-CNN-C of Springenberg et al. 2014 (arXiv:1412.6806), f32[B,H,W,C] -> f32[B,K].

    Convolutions of 3x3 with ReLU: three of `width` filters and three of twice as many, the third of
    each three at stride 2; another one without padding, one of 1x1, and the scores at every place,
    also with ReLU, whose mean is the result. Dropout takes 20 % of the image and half of what each
    strided convolution gives. No norms. 1,369,738 parameters at 10 classes at any size of the
    image, which must be at least 9 pixels high and wide.

    Attributes:
      width: Filters of the first three convolutions.
      num_classes: Number of class scores; None: as many as the data has.
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
        # A fully connected layer at every place is a convolution of 1x1.
        x = nn.relu(layers.scores(self.num_classes)(x))
        return x.mean(axis=(1, 2))

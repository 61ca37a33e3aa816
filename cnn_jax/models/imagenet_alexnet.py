"""AlexNet on ImageNet, as published in 2012 and with the single tower of 2014."""

from typing import ClassVar, Literal

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models import layers
from cnn_jax.ranges import Fraction


class AlexNet2012(layers.Net):
    """Krizhevsky, Sutskever and Hinton 2012, the net of ILSVRC-2012: f32[B,H,W,C] -> f32[B,K].

    Convolutions of 96 filters 11x11 at stride 4, 256 of 5x5, and 384, 384 and 256 of 3x3, each with
    ReLU. Local response normalisation and a 3x3 pool of stride 2 follow the first two, the pool
    alone the last. Two fully connected layers with dropout and the scores follow. The first volume
    of a 227x227 image has 55x55x96 = 290,400 neurons, which 34,944 parameters compute, as in the
    notes of CS231n; the 224x224 of the publication does not give 55x55. 60,965,224 parameters on
    227x227x3 at 1,000 classes, 62,378,344 with one tower, more on larger images. The image must be
    at least 67 pixels high and wide.

    Two things differ from the publication. Weights start as in the other nets here: its constants
    (standard deviation 0.01, and biases of 1) were chosen for pixels from 0 to 255. Dropout scales
    in training instead of in evaluation.

    Attributes:
      towers: Groups of the second, fourth and fifth convolution: 2, as published, for one GPU each;
        or 1, without groups, as in the volumes of CS231n.
      hidden: Neurons in each of the two fully connected layers before the scores.
      dropout: Probability of dropping each of these neurons in training.
      num_classes: Number of classes; None: taken from the data.
    """

    published_on: ClassVar[layers.Published] = layers.Published((227, 227, 3), 1000)

    towers: Literal[1, 2] = 2
    hidden: int = 4096
    dropout: Fraction[float] = 0.5
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        conv = layers.Conv(96, kernel_size=(11, 11), strides=4, padding="VALID")
        x = ops.local_response_norm(nn.relu(conv(image)))
        x = ops.max_pool(x, 3, stride=2)
        x = nn.relu(layers.Conv(256, kernel_size=(5, 5), feature_group_count=self.towers)(x))
        x = ops.max_pool(ops.local_response_norm(x), 3, stride=2)
        for filters, groups in ((384, 1), (384, self.towers), (256, self.towers)):
            x = nn.relu(layers.Conv(filters, feature_group_count=groups)(x))
        x = layers.flatten(ops.max_pool(x, 3, stride=2))
        for _ in range(2):
            x = nn.relu(nn.Dense(self.hidden, kernel_init=layers.he_normal)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return layers.scores(self.num_classes)(x)


class AlexNet2014(layers.Net):
    """Krizhevsky 2014 (arXiv:1404.5997), the single tower, f32[B,H,W,C] -> f32[B,K].

    The form of torchvision, whose weights `init_from` loads: convolutions of 64 filters 11x11 at
    stride 4, 192 of 5x5, and 384, 256 and 256 of 3x3, each with ReLU, with 3x3 pools of stride 2
    after the first, the second and the last. Adaptive average pooling to 6x6 follows, which leaves
    the volume of a 224x224 image as it is, and three fully connected layers, with dropout before
    the first two. No norms. 61,100,840 parameters on colour images at 1,000 classes, whatever their
    size, which must be at least 63 pixels.

    Attributes:
      hidden: Neurons in each of the two fully connected layers before the scores.
      dropout: Probability of dropping each input of these layers in training.
      num_classes: Number of classes; None: taken from the data.
    """

    published_on: ClassVar[layers.Published] = layers.Published((224, 224, 3), 1000)

    hidden: int = 4096
    dropout: Fraction[float] = 0.5
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = nn.relu(layers.Conv(64, kernel_size=(11, 11), strides=4, padding=2)(image))
        x = ops.max_pool(x, 3, stride=2)
        x = nn.relu(layers.Conv(192, kernel_size=(5, 5))(x))
        x = ops.max_pool(x, 3, stride=2)
        for filters in (384, 256, 256):
            x = nn.relu(layers.Conv(filters)(x))
        x = ops.max_pool(x, 3, stride=2)
        x = layers.flatten(ops.adaptive_avg_pool(x, 6))
        for _ in range(2):
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = nn.relu(nn.Dense(self.hidden, kernel_init=layers.he_normal)(x))
        return layers.scores(self.num_classes)(x)

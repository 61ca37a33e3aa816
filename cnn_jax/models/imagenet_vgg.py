"""VGG on ImageNet, as published: no BatchNorm, three fully connected layers."""

from typing import ClassVar, Literal

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models import layers
from cnn_jax.models.vgg import STAGES
from cnn_jax.ranges import Fraction


class ImageNetVGG(layers.Net):
    """Simonyan and Zisserman 2014 (arXiv:1409.1556), f32[B,H,W,C] -> f32[B,K].

    The form of torchvision, whose weights `init_from` loads. Five stages of 3x3 convolutions with
    64, 128, 256, 512 and 512 filters, each with a bias and ReLU; a 2x2 pool ends each stage.
    Adaptive average pooling to 7x7 follows, which leaves the volume of a 224x224 image as it is,
    and three fully connected layers, with dropout after the first two. The published depths 11,
    13, 16 and 19 are configurations A, B, D and E. VGG-16 has 138,357,544 parameters on colour
    images at 1,000 classes, whatever their size, which must be at least 32 pixels.

    Weights start as in the other nets here (arXiv:1502.01852), from which the deep ones can be
    trained at once; the publication started them from a trained net of depth 11.

    Attributes:
      depth: Number of layers with weights: 11, 13, 16 or 19.
      hidden: Neurons in each of the two fully connected layers before the scores.
      dropout: Probability of dropping each of these neurons in training.
      num_classes: Number of classes; None: taken from the data.
    """

    published_on: ClassVar[layers.Published] = layers.Published((224, 224, 3), 1000)

    depth: Literal[11, 13, 16, 19] = 16
    hidden: int = 4096
    dropout: Fraction[float] = 0.5
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = image
        for stage, convolutions in enumerate(STAGES[self.depth]):
            for _ in range(convolutions):
                x = nn.relu(layers.Conv(64 * min(2**stage, 8))(x))
            x = ops.max_pool(x, 2)
        x = layers.flatten(ops.adaptive_avg_pool(x, 7))
        for _ in range(2):
            x = nn.relu(nn.Dense(self.hidden, kernel_init=layers.he_normal)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return layers.scores(self.num_classes)(x)


def ImageNetVGG11(**fields) -> ImageNetVGG:
    """`ImageNetVGG(depth=11)`: 132,863,336 parameters."""
    return ImageNetVGG(depth=11, **fields)


def ImageNetVGG13(**fields) -> ImageNetVGG:
    """`ImageNetVGG(depth=13)`: 133,047,848 parameters."""
    return ImageNetVGG(depth=13, **fields)


def ImageNetVGG16(**fields) -> ImageNetVGG:
    """`ImageNetVGG(depth=16)`: 138,357,544 parameters."""
    return ImageNetVGG(depth=16, **fields)


def ImageNetVGG19(**fields) -> ImageNetVGG:
    """`ImageNetVGG(depth=19)`: 143,667,240 parameters."""
    return ImageNetVGG(depth=19, **fields)

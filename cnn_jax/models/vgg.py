"""VGG with BatchNorm: stages of 3x3 convolutions with pools between them."""

from typing import Literal

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models import layers

# Number of convolutions in each stage, by depth.
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(layers.Net):
    """Simonyan and Zisserman 2014 (arXiv:1409.1556), f32[B,H,W,C] -> f32[B,K].

    The form of github.com/kuangliu/pytorch-cifar: five stages of 3x3 convolutions (with biases),
    BatchNorm and ReLU, with w, 2w, 4w, 8w and 8w filters, each ending in a pool, and one fully
    connected layer instead of three. The last pool is global, which on 32x32 images equals the 2x2
    pool there, so the number of parameters does not depend on the image size. VGG-16 has 14,728,266
    at 10 classes. The image must be at least 16 pixels high and wide.

    Attributes:
      depth: Published number of layers with weights, three fully connected ones included: 11, 13,
        16 or 19.
      width: Filters of the first stage.
      num_classes: Number of classes; None: taken from the data.
    """

    depth: Literal[11, 13, 16, 19] = 16
    width: int = 64
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = image
        for stage, convolutions in enumerate(STAGES[self.depth]):
            if stage > 0:
                x = ops.max_pool(x, 2)
            for _ in range(convolutions):
                x = layers.Conv(self.width * min(2**stage, 8))(x)
                x = nn.relu(layers.batch_norm(train=train)(x))
        return layers.scores(self.num_classes)(x.max(axis=(1, 2)))


def VGG11(**fields) -> VGG:
    """`VGG(depth=11)`: 9,231,114 parameters."""
    return VGG(depth=11, **fields)


def VGG13(**fields) -> VGG:
    """`VGG(depth=13)`: 9,416,010 parameters."""
    return VGG(depth=13, **fields)


def VGG16(**fields) -> VGG:
    """`VGG(depth=16)`: 14,728,266 parameters."""
    return VGG(depth=16, **fields)


def VGG19(**fields) -> VGG:
    """`VGG(depth=19)`: 20,040,522 parameters."""
    return VGG(depth=19, **fields)

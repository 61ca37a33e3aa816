"""The CIFAR family of pre-activation residual networks: PreActResNet-164."""

from typing import Annotated

import flax.linen as nn
import jax

from cnn_jax.models import layers
from cnn_jax.models.preact_resnet import PreActBottleneck


class PreActResNet(layers.Net):
    """He et al. 2016 (arXiv:1603.05027), section 4, f32[B,H,W,C] -> f32[B,K].

    A 3x3 convolution, three stages of (depth-2)/9 pre-activation bottleneck blocks
    whose 3x3 convolutions have w, 2w and 4w filters and whose volumes are four times as deep, norm,
    ReLU, global average pool, scores. PreActResNet-164 has 1,703,258 parameters at 10 classes.

    Attributes:
      depth: Layers with weights: 164 or 1001 as published; 9n+2 in general.
      width: Filters of the stem and of the first stage's 3x3 convolutions.
      num_classes: Number of classes; None: taken from the data.
    """

    depth: Annotated[int, layers.depths(9, 2)] = 164
    width: int = 16
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x = layers.Conv(self.width, use_bias=False)(image)
        blocks = (self.depth - 2) // 9
        for width, stride in layers.stages((blocks,) * 3, self.width):
            x = PreActBottleneck(width, stride)(x, train=train)
        x = nn.relu(layers.batch_norm(train=train)(x))
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


def PreActResNet164(**fields) -> PreActResNet:
    """`PreActResNet(depth=164)`: 1,703,258 parameters."""
    return PreActResNet(depth=164, **fields)

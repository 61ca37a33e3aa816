"""Airbench nets: 93, 94 and 96 % on CIFAR-10 in seconds on one accelerator."""

import math
from typing import Literal

import flax.linen as nn
import jax

from cnn_jax.models import layers
from cnn_jax.models.airbench_layers import conv, norm, pooled_conv, uniform, unit_head
from cnn_jax.models.whitening import Whitening
from cnn_jax.ops import gelu
from cnn_jax.ranges import Fraction

# Side of the whitening layer's patches, in pixels.
WINDOW = 2


class Airbench(layers.Net):
    """Jordan 2024 (arXiv:2404.00498, github.com/KellerJordan/cifar10-airbench).

    f32[B,H,W,C] -> f32[B,K]. A frozen whitening layer of 2x2 patches; three groups of conv - pool -
    norm - GELU followed by one or two conv - norm - GELU; global max pooling and scaled-down
    scores. The image must be at least 9 pixels high and wide.

    As published, airbench94 has 1,971,640 parameters at 10 classes: 1,971,352 trained ones
    (including the biases of the norms) and 288 weights of the whitening layer.

    Attributes:
      widths: Depth of the volume in each group.
      convolutions: Convolutions in each group, 2 or 3. With 3, a shortcut around the last two adds
        the first activation before the last one.
      momentum: Momentum of the norms' running statistics: the fraction kept in each step.
      start: Initialisation. "muon", as published with that optimiser: uniform biases in the
        whitening layer, and scores of unit-variance weights divided by the width. "sgd", as in the
        earlier versions: zero biases, and scores of uniform weights divided by 9.
      whitening_bias: Whether the whitening layer has a bias, its only trained parameter.
      num_classes: Number of classes; None: taken from the data.
    """

    widths: tuple[int, ...] = (64, 256, 256)
    convolutions: Literal[2, 3] = 2
    momentum: Fraction[float] = 0.6
    start: Literal["muon", "sgd"] = "muon"
    whitening_bias: bool = True
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        patch = WINDOW**2 * image.shape[-1]
        whitening = Whitening(
            filters=2 * patch,
            window=WINDOW,
            stride=1,
            use_bias=self.whitening_bias,
            bias_init=_uniform_bias(patch) if self.start == "muon" else nn.initializers.zeros,
            name="whitening",
        )
        x = gelu(whitening(image))
        for width in self.widths:
            x = gelu(self._norm(train)(pooled_conv(x, width)))
            shortcut = x
            x = self._norm(train)(conv(width)(x))
            if self.convolutions == 3:
                x = self._norm(train)(conv(width)(gelu(x))) + shortcut
            x = gelu(x)
        x = x.max(axis=(1, 2))
        kernel_init, divisor = (
            (unit_head, self.widths[-1]) if self.start == "muon" else (uniform, 9)
        )
        head = layers.scores(self.num_classes, use_bias=False, kernel_init=kernel_init, name="head")
        return head(x) / divisor

    def _norm(self, train: bool) -> nn.BatchNorm:
        return norm(train=train, momentum=self.momentum)


def _uniform_bias(fan_in: int):
    bound = 1 / math.sqrt(fan_in)
    return lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def Airbench93(**fields) -> Airbench:
    """`Airbench(widths=(64, 128, 128), start="sgd")`: 568,728 trained parameters."""
    return Airbench(widths=(64, 128, 128), start="sgd", **fields)


def Airbench94(**fields) -> Airbench:
    """`Airbench()`, the version for Muon: 1,971,640 parameters, 1,971,352 of them trained."""
    return Airbench(**fields)


def Airbench96(**fields) -> Airbench:
    """`Airbench` with widths (128, 384, 512), 3 convolutions a group: 9,915,416 trained."""
    return Airbench(widths=(128, 384, 512), convolutions=3, momentum=0.9, start="sgd", **fields)

"""QuickNet: a small ConvNet that trains in minutes on a few CPU cores."""

import flax.linen as nn
import jax

from cnn_jax.models import layers
from cnn_jax.models.airbench_layers import conv, norm, pooled_conv, unit_head
from cnn_jax.models.whitening import Whitening
from cnn_jax.ops import gelu


class QuickNet(layers.Net):
    """A reduced airbench94 (Jordan 2024, arXiv:2404.00498), f32[B,H,W,C] -> f32[B,K].

    A frozen whitening layer of 4x4 patches at stride 2 avoids full-size convolutions; groups of
    conv - pool - norm - GELU - conv - norm - GELU follow, then global max pooling and scaled-down
    scores. The image must be at least 10 pixels high and wide, with three channels for the default
    of 48 filters. It has 287,408 trained parameters at 10 classes.

    Attributes:
      filters: Filters of the whitening layer; half of them are the negatives of the others.
      widths: Depth of the volume in each group.
      num_classes: Number of classes; None: taken from the data.
    """

    filters: int = 48
    widths: tuple[int, ...] = (64, 128)
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        whitening = Whitening(self.filters, window=4, stride=2, images=2000, name="whitening")
        x = gelu(whitening(image))
        for width in self.widths:
            x = gelu(norm(train=train)(pooled_conv(x, width)))
            x = gelu(norm(train=train)(conv(width)(x)))
        x = x.max(axis=(1, 2))
        head = layers.scores(self.num_classes, use_bias=False, kernel_init=unit_head, name="head")
        return head(x) / self.widths[-1]

"""ConvMixer: patches, mixed alternately in space and in depth at constant resolution."""

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models import layers


class ConvMixer(layers.Net):
    """Trockman and Kolter 2022 (arXiv:2201.09792), f32[B,H,W,C] -> f32[B,K].

    A convolution embeds the image's patches; then come `depth` blocks of a depthwise convolution
    with a shortcut and a pointwise convolution, all at the same height, width and depth; global
    average pooling and the scores. GELU and then BatchNorm follow each convolution. The default is
    ConvMixer-256/8 as the authors train it on CIFAR-10 (github.com/locuslab/convmixer-cifar10):
    594,186 parameters at 10 classes, whatever the image size, which must be at least one patch.

    Attributes:
      width: Depth of the volume.
      depth: Number of blocks.
      kernel_size: Side of the depthwise convolutions' window, in pixels of the volume.
      patch_size: Side of a patch, in pixels of the image.
      num_classes: Number of classes; None: taken from the data.
    """

    width: int = 256
    depth: int = 8
    kernel_size: int = 5
    patch_size: int = 2
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        height, width = image.shape[1:3]
        if min(height, width) < self.patch_size:
            side = self.patch_size
            raise ValueError(f"patches of {side}x{side} need a larger image than {height}x{width}")
        patch, window = (self.patch_size,) * 2, (self.kernel_size,) * 2
        x = layers.Conv(self.width, kernel_size=patch, strides=patch, padding="VALID")(image)
        x = layers.batch_norm(train=train)(ops.gelu(x))
        for _ in range(self.depth):
            y = layers.Conv(self.width, kernel_size=window, feature_group_count=self.width)(x)
            x = x + layers.batch_norm(train=train)(ops.gelu(y))
            x = layers.Conv(self.width, kernel_size=(1, 1))(x)
            x = layers.batch_norm(train=train)(ops.gelu(x))
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


def ConvMixer256_8(**fields) -> ConvMixer:
    """`ConvMixer(width=256, depth=8)`: 594,186 parameters."""
    return ConvMixer(width=256, depth=8, **fields)

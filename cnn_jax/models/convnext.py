"""ConvNeXt: a ConvNet with the design of a vision transformer."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models import layers
from cnn_jax.models.stochastic_depth import StochasticDepth
from cnn_jax.ranges import Fraction

KERNEL = nn.initializers.truncated_normal(0.02)
# Initial scale of each block's branch.
LAYER_SCALE = 1e-6


class ConvNeXt(layers.Net):
    """Liu et al. 2022 (arXiv:2201.03545), f32[B,H,W,C] -> f32[B,K].

    A convolution embeds the image's patches; between the stages of blocks, 2x2 convolutions of
    stride 2 halve the height and width; global average pooling and the scores follow. LayerNorm
    over the depth is applied after the patches, before each halving, in each block and before the
    scores. For small images the patches are 2x2 instead of 4x4. The default, ConvNeXt-T, has
    27,824,362 parameters at 10 classes, whatever the image size, which must be at least
    `patch_size` pixels, doubled for each stage after the first.

    Attributes:
      depths: Number of blocks in each stage.
      widths: Depth of the volume in each stage.
      patch_size: Side of a patch in pixels.
      drop_path: Stochastic depth: probability of dropping the last block in training; it rises
        linearly from 0 at the first block.
      num_classes: Number of classes; None: taken from the data.
    """

    depths: tuple[int, ...] = (3, 3, 9, 3)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    patch_size: int = 2
    drop_path: Fraction[float] = 0.0
    num_classes: int | None = None

    def __post_init__(self):
        if len(self.widths) != len(self.depths):
            raise ValueError(
                f"widths must have {len(self.depths)} entries, one for each of depths, got "
                f"{self.widths!r}"
            )
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        x, number, last = image, 0, sum(self.depths) - 1
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            if stage == 0:
                x = nn.LayerNorm(epsilon=1e-6)(_patches(x, width, self.patch_size))
            else:
                x = _patches(nn.LayerNorm(epsilon=1e-6)(x), width, 2)
            for _ in range(depth):
                x = Block(self.drop_path * number / max(1, last))(x, train=train)
                number += 1
        x = nn.LayerNorm(epsilon=1e-6)(x.mean(axis=(1, 2)))
        return layers.scores(self.num_classes, kernel_init=KERNEL)(x)


class Block(nn.Module):
    """A depthwise 7x7 convolution, LayerNorm, a scaled MLP with GELU, and a shortcut."""

    drop_path: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        width = x.shape[-1]
        y = layers.Conv(width, kernel_size=(7, 7), feature_group_count=width, kernel_init=KERNEL)(x)
        y = nn.LayerNorm(epsilon=1e-6)(y)
        y = ops.gelu(nn.Dense(4 * width, kernel_init=KERNEL)(y))
        y = nn.Dense(width, kernel_init=KERNEL)(y)
        scale = self.param("layer_scale", nn.initializers.constant(LAYER_SCALE), (width,))
        y = layers.in_float32(jnp.multiply, y, scale)
        return x + StochasticDepth(self.drop_path)(y, train=train)


def _patches(x: jax.Array, filters: int, side: int) -> jax.Array:
    """A convolution of non-overlapping windows: f[B,H,W,C] -> f[B,H//side,W//side,filters]."""
    height, width = x.shape[1:3]
    if min(height, width) < side:
        raise ValueError(f"patches of {side}x{side} need a larger volume than {height}x{width}")
    window = (side, side)
    return layers.Conv(
        filters, kernel_size=window, strides=window, padding="VALID", kernel_init=KERNEL
    )(x)


def ConvNeXtAtto(**fields) -> ConvNeXt:
    """`ConvNeXt` with depths (2, 2, 6, 2), widths (40, 80, 160, 320): 3,376,290 parameters.

    The smallest size of github.com/huggingface/pytorch-image-models.
    """
    return ConvNeXt(depths=(2, 2, 6, 2), widths=(40, 80, 160, 320), **fields)


def ConvNeXtTiny(**fields) -> ConvNeXt:
    """`ConvNeXt` with depths (3, 3, 9, 3), widths (96, 192, 384, 768): 27,824,362 parameters."""
    return ConvNeXt(depths=(3, 3, 9, 3), widths=(96, 192, 384, 768), **fields)

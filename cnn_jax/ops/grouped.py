"""Grouped convolution as products, ten times as fast as XLA:CPU's own.

It is a matrix product of patches and kernel for each group. Products are summed in float32.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.chunks import map_chunks, sum_chunks
from cnn_jax.ops.windows import Padding, Pair, output_side, pad, windows

# Bytes of a chunk of patches: a share of a CPU's last-level cache.
PATCH_BYTES = 8 * 2**20


def convolve(
    image, kernel, groups: int, strides: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> jax.Array:
    """Convolves f[B,H,W,C], f[h,w,C/G,K] -> f[B,H',W',K], with the image dilated by `dilation`."""
    size = kernel.shape[:2]
    side = output_side(image, size, strides, padding, dilation)
    weights = kernel.reshape(math.prod(kernel.shape[:3]), groups, -1).swapaxes(0, 1)

    def convolve_chunk(images):
        patches = _patches(images, groups, size, strides, padding, side, dilation)
        pixels = lax.dot_general(
            patches,
            weights,
            (((2,), (1,)), ((0,), (0,))),
            preferred_element_type=jnp.float32,
        )
        return pixels.astype(image.dtype).swapaxes(0, 1).reshape(-1, *side, kernel.shape[3])

    return map_chunks(convolve_chunk, _patch_chunk(image, size, side), image)


def kernel_gradient(
    image, gradient, groups: int, size: Sequence[int], strides: Pair, padding: Padding
) -> jax.Array:
    """Returns f32[h,w,C/G,K] from the image and the gradient of the output."""
    side, filters = gradient.shape[1:3], gradient.shape[3]

    def gradient_chunk(images, gradients):
        patches = _patches(images, groups, size, strides, padding, side, (1, 1))
        # The gradient comes first, as it is the narrower matrix: XLA needs up to half the time.
        return lax.dot_general(
            gradients.reshape(-1, groups, filters // groups).swapaxes(0, 1),
            lax.optimization_barrier(patches),
            (((1,), (1,)), ((0,), (0,))),
            preferred_element_type=jnp.float32,
        )

    total = sum_chunks(gradient_chunk, _patch_chunk(image, size, side), image, gradient)
    return total.transpose(2, 0, 1).reshape(*size, -1, filters)


def _patches(image, groups, size, strides, padding, side, dilation) -> jax.Array:
    """f[B,H,W,C] -> f[G,B*H'*W',h*w*C/G]: the pixels of each window by kernel position."""
    padded = pad(image, padding, dilation)
    grouped = [
        place.reshape(-1, groups, image.shape[3] // groups).swapaxes(0, 1)
        for place in windows(padded, size, strides, side)
    ]
    return jnp.concatenate(grouped, 2)


def _patch_chunk(image, size, side) -> int:
    return max(1, PATCH_BYTES // (4 * math.prod((*size, *side)) * image.shape[3]))

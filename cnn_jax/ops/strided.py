"""The image's gradient of a convolution with strides, as one matrix product for each few images.

The gradient of a pixel of the output times the kernel is the gradient of all pixels in its window.
Pixels of the image whose places differ by a multiple of the strides belong to one phase; what the
windows leave there is a sum of shifted planes, one for each kernel position that meets the phase.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.chunks import map_chunks
from cnn_jax.ops.windows import Padding, Pair, pad

# Entries of the kernel along one axis; each with the strides by which its plane is moved.
Moves = list[tuple[int, int]]
# Bytes of the planes of a chunk of images: a share of a CPU's last-level cache.
CHUNK_BYTES = 8 * 2**20


def image_gradient(gradient, kernel, shape, strides: Pair, padding: Padding) -> jax.Array:
    """Returns f[B,H,W,C] of this shape from the gradient of the output, f[B,H',W',F].

    `strides` and `padding` are those of the convolution, with a kernel f[h,w,C,F].
    """
    height, width, channels, filters = kernel.shape
    weights = kernel.transpose(3, 0, 1, 2).reshape(filters, -1)
    side = [-(-length // step) for length, step in zip(shape[1:3], strides, strict=True)]
    rows = _phases(height, strides[0], padding[0][0])
    columns = _phases(width, strides[1], padding[1][0])

    def gradient_chunk(gradients):
        products = lax.dot(
            gradients.reshape(-1, filters), weights, preferred_element_type=jnp.float32
        )
        planes = products.reshape(*gradients.shape[:3], height, width, channels)

        def moved(i: int, down: int, j: int, right: int) -> jax.Array:
            """The plane of one kernel position, by whole strides down and to the right."""
            held = gradients.shape[1:3]
            edges = ((down, side[0] - down - held[0]), (right, side[1] - right - held[1]))
            return pad(planes[:, :, :, i, j], edges)

        def phase(row: Moves, column: Moves) -> jax.Array:
            zero = jnp.zeros((len(gradients), *side, channels))
            terms = (moved(*one, *other) for one in row for other in column)
            return functools.reduce(jnp.add, terms, zero)

        parts = jnp.stack([jnp.stack([phase(r, c) for c in columns], 3) for r in rows], 2)
        whole = parts.reshape(-1, side[0] * strides[0], side[1] * strides[1], channels)
        return whole[:, : shape[1], : shape[2]].astype(gradient.dtype)

    bytes_each = 4 * math.prod(gradient.shape[1:3]) * height * width * channels
    return map_chunks(gradient_chunk, max(1, CHUNK_BYTES // bytes_each), gradient)


def _phases(size: int, stride: int, before: int) -> list[Moves]:
    """For each place in a stride, the entries of the kernel that meet it, and their moves."""
    return [
        [
            (i, (i - before - place) // stride)
            for i in range(size)
            if not (i - before - place) % stride
        ]
        for place in range(stride)
    ]

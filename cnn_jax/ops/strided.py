"""The image's gradient of a convolution with strides, as one matrix product for each few images.

The gradient of a pixel of the output times the kernel is the gradient of all pixels in its window.
Pixels of the image whose places differ by a multiple of the strides belong to one phase; what the
windows leave there is a sum of shifted planes, one for each kernel position that meets the phase.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.chunks import map_chunks
from cnn_jax.ops.windows import Padding, Pair, pad

# Bytes of the planes of a chunk of images: a share of a CPU's last-level cache.
CHUNK_BYTES = 8 * 2**20


def image_gradient(gradient, kernel, shape, strides: Pair, padding: Padding) -> jax.Array:
    """Returns f[B,H,W,C] of this shape from the gradient of the output, f[B,H',W',F].

    `strides` and `padding` are those of the convolution, with a kernel f[h,w,C,F].
    """
    *size, channels, filters = kernel.shape
    weights = kernel.transpose(3, 0, 1, 2).reshape(filters, -1)
    side = [-(-length // step) for length, step in zip(shape[1:3], strides, strict=True)]

    def gradient_chunk(gradients):
        values = lax.dot(
            gradients.reshape(-1, filters), weights, preferred_element_type=jnp.float32
        )
        planes = values.reshape(*gradients.shape[:3], *size, channels)

        def phase(*place: int) -> jax.Array:
            """The pixels of the image at this place in each window of the strides."""
            terms = []
            for position in itertools.product(*map(range, size)):
                moved = [
                    divmod(at + pads[0] - index, step)
                    for at, pads, index, step in zip(place, padding, position, strides, strict=True)
                ]
                if any(rest for _, rest in moved):
                    continue
                edges = tuple(
                    (-by, length + by - held)
                    for (by, _), length, held in zip(moved, side, gradients.shape[1:3], strict=True)
                )
                terms.append(pad(planes[:, :, :, *position], (edges[0], edges[1])))
            if not terms:
                return jnp.zeros((len(gradients), *side, channels))
            return functools.reduce(jnp.add, terms)

        rows = [jnp.stack([phase(y, x) for x in range(strides[1])], 3) for y in range(strides[0])]
        whole = jnp.stack(rows, 2).astype(gradient.dtype)
        whole = whole.reshape(-1, side[0] * strides[0], side[1] * strides[1], channels)
        return whole[:, : shape[1], : shape[2]]

    bytes_each = 4 * math.prod(gradient.shape[1:3]) * math.prod(size) * channels
    return map_chunks(gradient_chunk, max(1, CHUNK_BYTES // bytes_each), gradient)

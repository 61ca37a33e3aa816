"""Depthwise convolution as shifted products, ten times as fast as XLA:CPU's own.

It has too little arithmetic for a matrix product: it is computed as a sum of shifted images, each
times the weights of one kernel position. Sums are in float32.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops import xla
from cnn_jax.ops.chunks import map_chunks, sum_chunks
from cnn_jax.ops.windows import (
    Padding,
    Pair,
    full_padding,
    output_side,
    pad,
    padded_side,
    windows,
)

# Products that XLA:CPU adds up with vector instructions even where each is padded. Older versions
# would compute what stands before the convolution once for each product.
MOST_PADDED = 9 if xla.NEW else 0
# Bytes of a chunk of padded images: a share of a CPU's last-level cache.
CHUNK_BYTES = 2 * 2**20
# Rows of the output's gradient whose products with the image are added up at a time: they and
# their part of the image stay in a core's cache for all positions of the kernel.
ROWS = 8


def convolve(image, kernel, strides: Pair, padding: Padding) -> jax.Array:
    """Convolves f[B,H,W,C], f[h,w,1,C*M] -> f[B,H',W',C*M] with M filters for each channel."""
    filters = kernel.shape[3] // image.shape[3]
    if math.prod(kernel.shape[:2]) > MOST_PADDED:
        return map_chunks(
            lambda images: _shifted_sum(
                jnp.repeat(images, filters, 3), kernel, strides, padding, (1, 1)
            ).astype(image.dtype),
            _chunk(image, padding, (1, 1), filters),
            image,
        )
    side = output_side(image, kernel.shape[:2], strides, padding)
    wide = jnp.repeat(image, filters, 3).astype(jnp.float32)

    def part(*position: int) -> jax.Array:
        edges = []
        for axis, at in enumerate(position):
            before = padding[axis][0] - at
            reach = (side[axis] - 1) * strides[axis] + 1
            edges.append((before, reach - image.shape[axis + 1] - before))
        shifted = pad(wide * kernel[position][0], (edges[0], edges[1]))
        return shifted[:, :: strides[0], :: strides[1]]

    return _sum_of_positions(part, kernel).astype(image.dtype)


def image_gradient(gradient, kernel, shape, strides: Pair, padding: Padding) -> jax.Array:
    """Returns f[B,H,W,C] of this shape from the gradient of the output, f[B,H',W',C*M].

    `strides` and `padding` are those of the convolution.
    """
    wide = gradient.astype(jnp.float32)

    def edges(position: Sequence[int]) -> Padding:
        """Padding of the dilated gradient that moves it to its place in the image."""
        pads = []
        for axis, at in enumerate(position):
            before = at - padding[axis][0]
            reach = (gradient.shape[axis + 1] - 1) * strides[axis] + 1
            pads.append((before, shape[axis + 1] - reach - before))
        return pads[0], pads[1]

    def of_channels(parts: jax.Array) -> jax.Array:
        summed = parts.reshape(*parts.shape[:3], shape[3], -1).sum(-1)
        return summed.astype(gradient.dtype)

    if math.prod(kernel.shape[:2]) <= MOST_PADDED:
        return of_channels(
            _sum_of_positions(lambda *at: pad(wide * kernel[at][0], edges(at), strides), kernel)
        )
    flipped = jnp.flip(kernel, (0, 1))
    full = full_padding(shape, gradient.shape, kernel.shape, strides, padding)
    return map_chunks(
        lambda gradients: of_channels(_shifted_sum(gradients, flipped, (1, 1), full, strides)),
        _chunk(gradient, full, strides),
        gradient,
    )


def kernel_gradient(
    image, gradient, size: Sequence[int], strides: Pair, padding: Padding
) -> jax.Array:
    """Returns f32[h,w,1,C*M] from the image and the gradient of the output."""
    image = jnp.repeat(image, gradient.shape[3] // image.shape[3], 3)
    if xla.NEW:
        return _sum_of_rows(image, gradient, size, strides, padding)

    def gradient_chunk(images, gradients):
        padded = pad(images, padding)
        gradients = gradients.astype(jnp.float32)

        # A loop over the rows of the kernel: unrolled, a large kernel takes minutes to compile.
        def row(_, i):
            strip = lax.dynamic_slice_in_dim(padded, i, (gradient.shape[1] - 1) * strides[0] + 1, 1)
            places = windows(strip, (1, size[1]), strides, gradient.shape[1:3])
            return None, jnp.stack([_column_sum(gradients * place) for place in places])

        return lax.scan(row, None, jnp.arange(size[0]))[1]

    chunk = _chunk(image, padding, (1, 1))
    return sum_chunks(gradient_chunk, chunk, image, gradient)[:, :, None]


def _sum_of_positions(part: Callable[..., jax.Array], kernel: jax.Array) -> jax.Array:
    """Adds up what comes from each kernel position, in one pass over memory.

    XLA fuses all of it if each part is padded after its product. A part that is padded before would
    be read value by value, which takes four times as long.
    """
    height, width = kernel.shape[:2]
    positions = itertools.product(range(height), range(width))
    return functools.reduce(jnp.add, (part(*position) for position in positions))


def _shifted_sum(image, kernel, strides, padding, dilation) -> jax.Array:
    """f32[B,H',W',C]: the sum over kernel positions of the weights times the shifted image."""
    size = kernel.shape[:2]
    side = output_side(image, size, strides, padding, dilation)
    weights = kernel.astype(jnp.float32).reshape(-1, kernel.shape[3])
    places = windows(pad(image, padding, dilation), size, strides, side)
    return functools.reduce(jnp.add, (p * w for p, w in zip(places, weights, strict=True)))


def _sum_of_rows(image, gradient, size, strides, padding) -> jax.Array:
    """f32[h,w,1,C]: products of image and gradient, added up row by row, then by column."""
    batch, height, width, channels = gradient.shape
    rows = min(ROWS, 1 << (height - 1).bit_length())
    blocks = -(-height // rows)
    # Rows of zeros to a multiple of `rows`, in the gradient and below the image.
    missing = blocks * rows - height
    (top, bottom), sides = padding

    # Padded one by one, in the cache: padded together, all images are written and read once more.
    def example(number: jax.Array, totals: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        volume = lax.dynamic_slice_in_dim(image, number, 1)
        volume = pad(volume, ((top, bottom + missing * strides[0]), sides))[0]
        gradients = lax.dynamic_slice_in_dim(gradient, number, 1)
        gradients = pad(gradients, ((0, missing), (0, 0)))[0]

        def block(row: jax.Array, totals: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            some = lax.dynamic_slice_in_dim(gradients, row * rows, rows).astype(jnp.float32)

            # A loop over the rows of the kernel: unrolled, a large kernel takes long to compile.
            def of_kernel_row(i: jax.Array, totals: tuple[jax.Array, ...]):
                start, reach = row * rows * strides[0] + i, (rows - 1) * strides[0] + 1
                strip = lax.dynamic_slice_in_dim(volume, start, reach)[None]
                places = windows(strip, (1, size[1]), strides, (rows, width))
                return tuple(
                    lax.dynamic_update_index_in_dim(
                        total, total[i] + _folded(place[0] * some), i, 0
                    )
                    for total, place in zip(totals, places, strict=True)
                )

            return lax.fori_loop(0, size[0], of_kernel_row, totals)

        return lax.fori_loop(0, blocks, block, totals)

    zeros = jnp.zeros((size[0], width, channels), jnp.float32)
    totals = lax.fori_loop(0, batch, example, (zeros,) * size[1])
    return jnp.stack([total.sum(1) for total in totals], 1)[:, :, None]


def _folded(rows: jax.Array) -> jax.Array:
    """Sums a power of two of rows, halving their number: f[R,...] -> f[...]."""
    while len(rows) > 1:
        rows = rows[: len(rows) // 2] + rows[len(rows) // 2 :]
    return rows[0]


def _column_sum(array: jax.Array) -> jax.Array:
    """Sums f32[...,C] -> f32[C]. In older XLA, a product with ones is faster than a reduction."""
    rows = array.reshape(-1, array.shape[-1])
    return jnp.ones(len(rows), rows.dtype) @ rows


def _chunk(image, padding, dilation, filters: int = 1) -> int:
    """Number of padded images of four bytes per value that fit `CHUNK_BYTES`."""
    numbers = math.prod(padded_side(image, padding, dilation)) * image.shape[3] * filters
    return max(1, CHUNK_BYTES // (4 * numbers))

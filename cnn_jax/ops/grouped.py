"""Depthwise and grouped convolution as shifted products, ten times as fast as XLA:CPU's own.

A depthwise convolution has too little arithmetic for a matrix product: it is computed as a sum of
shifted images, each times the weights of one kernel position. A grouped convolution is a matrix
product of patches and kernel for each group. Products are summed in float32.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.chunks import map_chunks, sum_chunks

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
# Bytes of a chunk of padded images, or of patches: a share of a CPU's last-level cache.
IMAGE_BYTES = 2 * 2**20
PATCH_BYTES = 8 * 2**20


def depthwise(image, kernel, strides: Pair, padding: Padding) -> jax.Array:
    """Convolves f[B,H,W,C], f[h,w,1,C*M] -> f[B,H',W',C*M] with M filters for each channel."""
    filters = kernel.shape[3] // image.shape[3]
    return map_chunks(
        lambda images: _shifted_sum(
            jnp.repeat(images, filters, 3), kernel, strides, padding, (1, 1)
        ).astype(image.dtype),
        _images(IMAGE_BYTES, image, padding, (1, 1), filters),
        image,
    )


def depthwise_image_gradient(gradient, flipped, channels: int, strides: Pair, padding: Padding):
    """Returns f[B,H,W,C] from the output's gradient, f[B,H',W',C*M], and the flipped kernel.

    `padding` applies to the gradient dilated by `strides`.
    """

    def gradient_chunk(gradients):
        parts = _shifted_sum(gradients, flipped, (1, 1), padding, strides)
        return parts.reshape(*parts.shape[:3], channels, -1).sum(-1).astype(gradient.dtype)

    return map_chunks(gradient_chunk, _images(IMAGE_BYTES, gradient, padding, strides), gradient)


def depthwise_kernel_gradient(
    image, gradient, size: Sequence[int], strides: Pair, padding: Padding
) -> jax.Array:
    """Returns f32[h,w,1,C*M] from the image and the gradient of the output."""
    side, filters = gradient.shape[1:3], gradient.shape[3] // image.shape[3]

    def gradient_chunk(images, gradients):
        padded = _padded(jnp.repeat(images, filters, 3), padding, (1, 1))
        gradients = gradients.astype(jnp.float32)

        # A loop over the rows of the kernel: unrolled, a large kernel takes minutes to compile.
        def row(_, i):
            strip = lax.dynamic_slice_in_dim(padded, i, (side[0] - 1) * strides[0] + 1, 1)
            places = _windows(strip, (1, size[1]), strides, side)
            return None, jnp.stack([_column_sum(gradients * place) for place in places])

        return lax.scan(row, None, jnp.arange(size[0]))[1]

    chunk = _images(IMAGE_BYTES, image, padding, (1, 1), filters)
    return sum_chunks(gradient_chunk, chunk, image, gradient)[:, :, None]


def convolve(
    image, kernel, groups: int, strides: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> jax.Array:
    """Convolves f[B,H,W,C], f[h,w,C/G,K] -> f[B,H',W',K], with the image dilated by `dilation`."""
    size = kernel.shape[:2]
    side = _side(image, size, strides, padding, dilation)
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


def image_gradient(gradient, flipped, groups: int, strides: Pair, padding: Padding) -> jax.Array:
    """Returns f[B,H,W,C] from the output's gradient, f[B,H',W',K], and the flipped kernel.

    `padding` applies to the gradient dilated by `strides`.
    """
    *size, channels, filters = flipped.shape
    apart = flipped.reshape(*size, channels, groups, -1)
    turned = apart.transpose(0, 1, 4, 3, 2).reshape(*size, filters // groups, channels * groups)
    return convolve(gradient, turned, groups, (1, 1), padding, strides)


def kernel_gradient(
    image, gradient, groups: int, size: Sequence[int], strides: Pair, padding: Padding
) -> jax.Array:
    """Returns f32[h,w,C/G,K] from the image and the gradient of the output."""
    side, filters = gradient.shape[1:3], gradient.shape[3]

    def gradient_chunk(images, gradients):
        patches = _patches(images, groups, size, strides, padding, side, (1, 1))
        return lax.dot_general(
            patches,
            gradients.reshape(-1, groups, filters // groups).swapaxes(0, 1),
            (((1,), (1,)), ((0,), (0,))),
            preferred_element_type=jnp.float32,
        )

    total = sum_chunks(gradient_chunk, _patch_chunk(image, size, side), image, gradient)
    return total.swapaxes(0, 1).reshape(*size, -1, filters)


def _shifted_sum(image, kernel, strides, padding, dilation) -> jax.Array:
    """f32[B,H',W',C]: the sum over kernel positions of the weights times the shifted image."""
    size = kernel.shape[:2]
    side = _side(image, size, strides, padding, dilation)
    weights = kernel.astype(jnp.float32).reshape(-1, kernel.shape[3])
    places = _windows(_padded(image, padding, dilation), size, strides, side)
    return functools.reduce(jnp.add, (p * w for p, w in zip(places, weights, strict=True)))


def _column_sum(array: jax.Array) -> jax.Array:
    """Sums f32[...,C] -> f32[C]. A product with ones takes half the time of a reduction."""
    rows = array.reshape(-1, array.shape[-1])
    return jnp.ones(len(rows), rows.dtype) @ rows


def _patches(image, groups, size, strides, padding, side, dilation) -> jax.Array:
    """f[B,H,W,C] -> f[G,B*H'*W',h*w*C/G]: the pixels of each window by kernel position."""
    padded = _padded(image, padding, dilation)
    grouped = [
        place.reshape(-1, groups, image.shape[3] // groups).swapaxes(0, 1)
        for place in _windows(padded, size, strides, side)
    ]
    return jnp.concatenate(grouped, 2)


def _windows(image, size, strides, side) -> Iterator[jax.Array]:
    """Yields for each kernel position the pixels that it multiplies: f[B,H',W',C]."""
    batch, _, _, channels = image.shape
    for start in itertools.product(*(range(length) for length in size)):
        stop = [s + (n - 1) * step + 1 for s, n, step in zip(start, side, strides, strict=True)]
        yield lax.slice(image, (0, *start, 0), (batch, *stop, channels), (1, *strides, 1))


def _padded(image: jax.Array, padding: Padding, dilation: Pair) -> jax.Array:
    between = [(*pads, step - 1) for pads, step in zip(padding, dilation, strict=True)]
    return lax.pad(image, jnp.zeros((), image.dtype), [(0, 0, 0), *between, (0, 0, 0)])


def _padded_side(image, padding, dilation) -> list[int]:
    sides = zip(image.shape[1:3], padding, dilation, strict=True)
    return [(length - 1) * step + 1 + sum(pads) for length, pads, step in sides]


def _side(image, size, strides, padding, dilation) -> list[int]:
    padded = _padded_side(image, padding, dilation)
    return [(n - length) // step + 1 for n, length, step in zip(padded, size, strides, strict=True)]


def _images(limit: int, image, padding, dilation, filters: int = 1) -> int:
    """Number of padded images of four bytes per value that fit the limit in bytes."""
    numbers = math.prod(_padded_side(image, padding, dilation)) * image.shape[3] * filters
    return max(1, limit // (4 * numbers))


def _patch_chunk(image, size, side) -> int:
    return max(1, PATCH_BYTES // (4 * math.prod((*size, *side)) * image.shape[3]))

"""Convolution whose gradients are fast on a CPU.

XLA:CPU computes the kernel's gradient of a large batch at a tenth of the rate of a small one, and
a convolution in any but the canonical layout inside a loop at a thirtieth. So both gradients are
written out as canonical convolutions, the kernel's as a sum over small chunks of the batch that
stay in the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.switch import fast

# Images in a chunk of the kernel's gradient: few enough to stay in the cache.
CHUNK = 16
Padding = tuple[tuple[int, int], tuple[int, int]]


def conv_general_dilated(
    image: jax.Array,
    kernel: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options,
) -> jax.Array:
    """`lax.conv_general_dilated` for `nn.Conv(conv_general_dilated=...)`, with fast gradients.

    Plain convolutions (two spatial dimensions, NHWC and HWIO, no groups, no dilation) take the fast
    form. Everything else, and everything under `ops.stock()`, is the library's own.
    """
    if not fast() or not _plain(image, kernel, options):
        return lax.conv_general_dilated(image, kernel, window_strides, padding, **options)
    strides = tuple(window_strides)
    pads: Sequence[tuple[int, int]] = (
        lax.padtype_to_pads(image.shape[1:3], kernel.shape[:2], strides, padding)
        if isinstance(padding, str)
        else padding
    )
    return _convolve(image, kernel, strides, tuple((int(a), int(b)) for a, b in pads))


def _plain(image: jax.Array, kernel: jax.Array, options: dict) -> bool:
    numbers = lax.conv_dimension_numbers(
        image.shape, kernel.shape, options.get("dimension_numbers")
    )
    return (
        image.ndim == 4
        and numbers == lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
        and options.get("feature_group_count", 1) == 1
        and options.get("batch_group_count", 1) == 1
        and all(d == 1 for d in options.get("lhs_dilation") or (1, 1))
        and all(d == 1 for d in options.get("rhs_dilation") or (1, 1))
        and options.get("precision") is None
        and options.get("preferred_element_type") is None
    )


def _canonical(image, kernel, strides, padding, lhs_dilation=(1, 1)):
    return lax.conv_general_dilated(
        image,
        kernel,
        strides,
        padding,
        lhs_dilation=lhs_dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(image, kernel, strides: tuple[int, int], padding: Padding):
    return _canonical(image, kernel, strides, padding)


def _forward(image, kernel, strides, padding):
    return _convolve(image, kernel, strides, padding), (image, kernel)


def _backward(strides, padding, residuals, gradient):
    image, kernel = residuals
    kernel_gradient = lax.platform_dependent(
        image,
        gradient,
        cpu=functools.partial(
            _kernel_gradient, size=kernel.shape[:2], strides=strides, padding=padding
        ),
        default=functools.partial(
            _stock_kernel_gradient, kernel=kernel, strides=strides, padding=padding
        ),
    )
    return _image_gradient(image, kernel, gradient, strides, padding), kernel_gradient


def _image_gradient(image, kernel, gradient, strides, padding):
    """The full correlation of the gradient with the flipped kernel, in the canonical layout."""
    pads = []
    for axis in range(2):
        size, length = kernel.shape[axis], image.shape[axis + 1]
        before = size - 1 - padding[axis][0]
        reach = (gradient.shape[axis + 1] - 1) * strides[axis] + 1 + before
        pads.append((before, length + size - 1 - reach))
    flipped = jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2)
    return _canonical(gradient, flipped, (1, 1), pads, lhs_dilation=strides)


def _stock_kernel_gradient(image, gradient, *, kernel, strides, padding):
    _, pullback = jax.vjp(lambda k: _canonical(image, k, strides, padding), kernel)
    return pullback(gradient)[0]


def _kernel_gradient(image, gradient, *, size, strides, padding):
    """dW[i,j,c,f] = sum over b,y,x of image[b, i+s*y, j+s*x, c] * gradient[b,y,x,f].

    This is a convolution whose batch is c, whose features are f, and whose window is the gradient.
    """
    chunk = next(n for n in range(min(CHUNK, image.shape[0]), 0, -1) if image.shape[0] % n == 0)
    pads = []
    for axis in range(2):
        before, length = padding[axis][0], image.shape[axis + 1]
        reach = (gradient.shape[axis + 1] - 1) * strides[axis] + size[axis]
        pads.append((before, reach - length - before))

    def add_chunk(total, arrays):
        images, gradients = arrays
        part = lax.conv_general_dilated(
            images.transpose(3, 1, 2, 0),
            gradients.transpose(1, 2, 0, 3),
            (1, 1),
            pads,
            rhs_dilation=strides,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return total + part.transpose(1, 2, 0, 3).astype(total.dtype), None

    # A sum of many chunks would lose digits in half precision.
    total = jnp.zeros((*size, image.shape[3], gradient.shape[3]), jnp.float32)
    chunks = jax.tree.map(lambda x: x.reshape(-1, chunk, *x.shape[1:]), (image, gradient))
    return lax.scan(add_chunk, total, chunks)[0].astype(gradient.dtype)


_convolve.defvjp(_forward, _backward)

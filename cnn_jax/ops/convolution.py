"""Convolution with gradients that are fast on CPUs.

XLA:CPU computes the kernel's gradient of a large batch at a tenth of the rate of a small batch, and
a convolution inside a loop at a thirtieth unless its layout is canonical. So both gradients are
written as canonical convolutions; the kernel's is a sum over small chunks of the batch that stay in
the cache. Wide convolutions of stride 1 use Winograd's algorithm instead, 1x1 convolutions a matrix
product, depthwise ones sums of shifted images, and narrow groups products of patches. The image's
gradient of a convolution with strides is a product too.

Where oneDNN is asked for, it takes the place of all of these but Winograd's algorithm, which is in
C++ then.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops import (
    depthwise,
    forms,
    grouped,
    native_winograd,
    onednn,
    pointwise,
    strided,
    winograd,
)
from cnn_jax.ops.chunks import sum_chunks
from cnn_jax.ops.windows import NONE, Padding, Pair, full_padding

# Bytes of a chunk of images and their gradients in the sum of the kernel's gradient: a core's L2.
CHUNK_BYTES = 2 * 2**20
# A Winograd tile with C channels and K filters transforms C + K values and computes C K products at
# each point. With fewer products per value than this, the transforms cost more than they save. The
# kernel's gradient is the slowest of the three convolutions in XLA, so Winograd pays earlier there.
LEAST_PRODUCTS = 16
LEAST_PRODUCTS_FOR_KERNEL = 9
# Groups with fewer channels are computed together, as products of patches.
LEAST_CHANNELS = 32


def conv_general_dilated(
    image: jax.Array,
    kernel: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options,
) -> jax.Array:
    """`lax.conv_general_dilated` with fast gradients, for `nn.Conv(conv_general_dilated=...)`.

    The fast form applies to convolutions of two spatial dimensions in NHWC and HWIO, including
    grouped and depthwise ones. Convolutions with dilation, in double precision or with an empty
    output, and all under `ops.stock()`, are JAX's.
    """
    if forms.fast() and _has_fast_form(image, kernel, options):
        strides, size = tuple(window_strides), kernel.shape[:2]
        pads: Sequence[tuple[int, int]] = (
            lax.padtype_to_pads(image.shape[1:3], size, strides, padding)
            if isinstance(padding, str)
            else padding
        )
        room = [s + sum(p) - k for s, p, k in zip(image.shape[1:3], pads, size, strict=True)]
        if image.size and min(room) >= 0:
            groups = options.get("feature_group_count", 1)
            (top, bottom), (left, right) = pads
            padding = (int(top), int(bottom)), (int(left), int(right))
            if forms.in_cpp() and onednn.takes(image.dtype, size, padding):
                return _convolve(image, kernel, strides, padding, groups, _BY_ONEDNN)
            return _convolve(image, kernel, strides, padding, groups, _PLAIN)
    return lax.conv_general_dilated(image, kernel, window_strides, padding, **options)


def _has_fast_form(image: jax.Array, kernel: jax.Array, options: dict) -> bool:
    numbers = lax.conv_dimension_numbers(
        image.shape, kernel.shape, options.get("dimension_numbers")
    )
    return (
        image.ndim == 4
        and image.dtype == kernel.dtype
        and image.dtype in (jnp.float32, jnp.bfloat16, jnp.float16)  # sums are float32
        and numbers == lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
        and options.get("batch_group_count", 1) == 1
        and all(d == 1 for d in options.get("lhs_dilation") or (1, 1))
        and all(d == 1 for d in options.get("rhs_dilation") or (1, 1))
        and options.get("precision") is None
        and options.get("preferred_element_type") is None
    )


def _canonical(image, kernel, strides, padding, groups=1):
    return lax.conv_general_dilated(
        image,
        kernel,
        strides,
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


# Compiled as a function, it is traced and lowered once for equal shapes: half of the time until XLA
# begins, for ResNet-18. XLA inlines it.
@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _by_platform(on_cpu, stock, strides, padding, groups, *arrays):
    settings = {"strides": strides, "padding": padding, "groups": groups}
    return lax.platform_dependent(
        *arrays,
        cpu=functools.partial(on_cpu, **settings),
        default=functools.partial(stock, **settings),
    )


class _OnCpu(NamedTuple):
    """The functions that convolve on a CPU."""

    convolve: Callable[..., jax.Array]
    gradients: Callable[..., tuple[jax.Array, jax.Array]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _convolve(image, kernel, strides: Pair, padding: Padding, groups: int, on_cpu: _OnCpu):
    return _by_platform(on_cpu.convolve, _canonical, strides, padding, groups, image, kernel)


def _forward(image, kernel, strides, padding, groups, on_cpu):
    # What comes before is computed once: XLA would fuse it into the convolution and both gradients.
    image = lax.platform_dependent(image, cpu=lax.optimization_barrier, default=lambda x: x)
    return _convolve(image, kernel, strides, padding, groups, on_cpu), (image, kernel)


def _backward(strides, padding, groups, on_cpu, residuals, gradient):
    arrays = (*residuals, gradient)
    return _by_platform(on_cpu.gradients, _stock_gradients, strides, padding, groups, *arrays)


_convolve.defvjp(_forward, _backward)


def _stock_gradients(image, kernel, gradient, **sizes):
    _, pullback = jax.vjp(functools.partial(_canonical, **sizes), image, kernel)
    return pullback(gradient)


def _winograd_pays(shape, itemsize: int, strides, groups: int, least: int) -> bool:
    channels, filters = shape[2], shape[3] // groups
    return (
        strides == (1, 1)
        and winograd.takes(shape, itemsize)
        and channels * filters >= least * (channels + filters)
    )


def _are_wide(shape) -> bool:
    """Whether each group is better computed as a convolution of its own."""
    return shape[2] >= LEAST_CHANNELS


def _is_pointwise(shape, padding, groups) -> bool:
    return groups == 1 and shape[:2] == (1, 1) and padding == NONE


def _each_group(function, groups: int, *arrays):
    """Applies a function without groups to each group of the last axis of the arrays."""
    if groups == 1:
        return function(*arrays)
    apart = zip(*(jnp.split(array, groups, -1) for array in arrays), strict=True)
    return jnp.concatenate([function(*group) for group in apart], -1)


def _on_cpu(image, kernel, *, strides, padding, groups):
    if _winograd_pays(kernel.shape, kernel.dtype.itemsize, strides, groups, LEAST_PRODUCTS):
        return winograd.convolve(image, kernel, padding, groups)
    if _is_pointwise(kernel.shape, padding, groups):
        return pointwise.convolve(image, kernel, strides)
    if groups > 1 and kernel.shape[2] == 1:
        return depthwise.convolve(image, kernel, strides, padding)
    if groups > 1 and not _are_wide(kernel.shape):
        return grouped.convolve(image, kernel, groups, strides, padding)
    form = functools.partial(_canonical, strides=strides, padding=padding)
    return _each_group(form, groups, image, kernel)


def _gradients_on_cpu(image, kernel, gradient, *, strides, padding, groups):
    gradient = lax.optimization_barrier(gradient)
    of_image = _image_gradient(image.shape, kernel, gradient, strides, padding, groups)
    of_kernel = _kernel_gradient(image, kernel.shape, gradient, strides, padding, groups)
    return of_image, of_kernel.astype(kernel.dtype)


_PLAIN = _OnCpu(_on_cpu, _gradients_on_cpu)


def _by_onednn(image, kernel, *, strides, padding, groups):
    if native_winograd.pays(kernel, strides, groups):
        return native_winograd.convolve(image, kernel, padding, groups)
    if _winograd_beats_onednn(kernel, strides, groups, LEAST_PRODUCTS):
        return winograd.convolve(image, kernel, padding, groups)
    return onednn.convolve(image, kernel, strides, padding, groups)


def _gradients_by_onednn(image, kernel, gradient, *, strides, padding, groups):
    where = (strides, padding, groups)
    if native_winograd.pays(kernel, strides, groups):
        pads = full_padding(image.shape, gradient.shape, kernel.shape, strides, padding)
        of_image = native_winograd.convolve(gradient, _turned(kernel, groups), pads, groups)
        of_kernel = native_winograd.kernel_gradient(image, gradient, padding, groups)
        return of_image, of_kernel.astype(kernel.dtype)
    if _winograd_beats_onednn(kernel, strides, groups, LEAST_PRODUCTS):
        of_image = _image_gradient(image.shape, kernel, gradient, *where)
    else:
        of_image = onednn.image_gradient(image.shape, kernel, gradient, *where)
    if _winograd_beats_onednn(
        kernel, strides, groups, LEAST_PRODUCTS_FOR_KERNEL
    ) or not onednn.takes_kernel_gradient(kernel.shape):
        of_kernel = _kernel_gradient(image, kernel.shape, gradient, *where)
    else:
        of_kernel = onednn.kernel_gradient(image, kernel.shape, gradient, *where)
    return of_image, of_kernel.astype(kernel.dtype)


def _winograd_beats_onednn(kernel, strides, groups: int, least: int) -> bool:
    return kernel.dtype == jnp.float32 and _winograd_pays(
        kernel.shape, kernel.dtype.itemsize, strides, groups, least
    )


_BY_ONEDNN = _OnCpu(_by_onednn, _gradients_by_onednn)


def _image_gradient(shape, kernel, gradient, strides, padding, groups):
    if _is_pointwise(kernel.shape, padding, groups):
        return pointwise.image_gradient(gradient, kernel, shape, strides)
    if groups > 1 and kernel.shape[2] == 1:
        return depthwise.image_gradient(gradient, kernel, shape, strides, padding)
    pads = full_padding(shape, gradient.shape, kernel.shape, strides, padding)
    turned = _turned(kernel, groups)
    if _winograd_pays(kernel.shape, kernel.dtype.itemsize, strides, groups, LEAST_PRODUCTS):
        return winograd.convolve(gradient, turned, pads, groups)
    if groups > 1 and not _are_wide(kernel.shape):
        return grouped.convolve(gradient, turned, groups, (1, 1), pads, strides)
    if strides == (1, 1):
        form = functools.partial(_canonical, strides=strides, padding=pads)
        return _each_group(form, groups, gradient, turned)
    shape = (*shape[:3], shape[3] // groups)
    form = functools.partial(strided.image_gradient, shape=shape, strides=strides, padding=padding)
    return _each_group(form, groups, gradient, kernel)


def _turned(kernel: jax.Array, groups: int) -> jax.Array:
    """The kernel of the image's gradient, upside down: f[h,w,C/G,K] -> f[h,w,K/G,C]."""
    *size, depth, filters = kernel.shape
    apart = jnp.flip(kernel, (0, 1)).reshape(*size, depth, groups, filters // groups)
    return apart.transpose(0, 1, 4, 3, 2).reshape(*size, filters // groups, -1)


def _kernel_gradient(image, shape, gradient, strides, padding, groups):
    """f32[h,w,C/G,K] of this shape."""
    size, itemsize = shape[:2], image.dtype.itemsize
    if _winograd_pays(shape, itemsize, strides, groups, LEAST_PRODUCTS_FOR_KERNEL):
        return winograd.kernel_gradient(image, gradient, size[0], padding, groups)
    if _is_pointwise(shape, padding, groups):
        return pointwise.kernel_gradient(image, gradient, strides)
    if groups > 1 and shape[2] == 1:
        return depthwise.kernel_gradient(image, gradient, size, strides, padding)
    if groups > 1:
        return grouped.kernel_gradient(image, gradient, groups, size, strides, padding)
    return _chunked_kernel_gradient(image, gradient, size, strides, padding)


def _chunked_kernel_gradient(image, gradient, size, strides, padding):
    """dW[i,j,c,f] = sum over b,y,x of image[b, i+s*y, j+s*x, c] * gradient[b,y,x,f].

    This is a convolution with batch c and features f, and with the gradient as its kernel.
    """
    pads = []
    for axis in range(2):
        before, length = padding[axis][0], image.shape[axis + 1]
        reach = (gradient.shape[axis + 1] - 1) * strides[axis] + size[axis]
        pads.append((before, reach - length - before))

    def gradient_chunk(images, gradients):
        part = lax.conv_general_dilated(
            images.transpose(3, 1, 2, 0),
            gradients.transpose(1, 2, 0, 3),
            (1, 1),
            pads,
            rhs_dilation=strides,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        # In half precision, a sum of many chunks would lose digits.
        return part.transpose(1, 2, 0, 3).astype(jnp.float32)

    bytes_each = 4 * (math.prod(image.shape[1:]) + math.prod(gradient.shape[1:]))
    return sum_chunks(gradient_chunk, max(1, CHUNK_BYTES // bytes_each), image, gradient)

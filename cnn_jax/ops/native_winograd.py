"""Winograd's algorithm (`winograd`) in C++: native/winograd.cc, for processors with AVX-512.

A few tiles at a time are transformed, multiplied and transformed back in a core's cache. XLA writes
the values at the points of many more to memory, and compiles the transforms anew in each program.
"""

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.native import library
from cnn_jax.ops import winograd
from cnn_jax.ops.windows import Padding, Pair, output_side

SIDE = 3  # of the kernel
# A tile with C channels and K filters transforms C + K values and computes C K products at each
# point. With fewer products per value than this, by bytes per value, oneDNN is faster.
LEAST_PRODUCTS = {4: 9, 2: 13}


def pays(kernel: jax.Array, strides: Pair, groups: int) -> bool:
    """Whether this machine has it, and it is faster for a kernel f[h,w,C/G,K] that oneDNN takes."""
    channels, filters = kernel.shape[2], kernel.shape[3] // groups
    if kernel.shape[:2] != (SIDE, SIDE) or strides != (1, 1):
        return False
    if channels * filters < LEAST_PRODUCTS[kernel.dtype.itemsize] * (channels + filters):
        return False
    return bool(library.load().CnnJaxHasAvx512())


def convolve(image: jax.Array, kernel: jax.Array, padding: Padding, groups: int) -> jax.Array:
    """Convolves f[B,H,W,C], f[3,3,C/G,K] -> f[B,H',W',K] with stride 1 and sums in float32."""
    size = output_side(image, kernel.shape[:2], (1, 1), padding)
    m = winograd.tile(size, SIDE, image.dtype.itemsize)
    result = jax.ShapeDtypeStruct((len(image), *size, kernel.shape[3]), image.dtype)
    return _call(library.WINOGRAD, result, (image, kernel), m, padding, groups)


def kernel_gradient(image: jax.Array, gradient: jax.Array, padding: Padding, groups: int):
    """Returns the kernel's gradient f32[3,3,C/G,K] from the output's gradient f[B,H',W',K]."""
    m = winograd.tile(gradient.shape[1:3], SIDE, image.dtype.itemsize)
    shape = (SIDE, SIDE, image.shape[3] // groups, gradient.shape[3])
    result = jax.ShapeDtypeStruct(shape, jnp.float32)
    return _call(library.WINOGRAD_GRADIENT, result, (image, gradient), m, padding, groups)


def _call(name: str, result, operands, m: int, padding: Padding, groups: int) -> jax.Array:
    call = jax.ffi.ffi_call(name, result, vmap_method="sequential")
    pads = np.array(padding, np.int64).ravel()
    return call(*operands, m=np.int64(m), padding=pads, groups=np.int64(groups))

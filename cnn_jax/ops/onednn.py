"""Convolution and its gradients by oneDNN, the library that PyTorch uses on CPUs.

It is faster than what XLA:CPU makes of products and shifted sums (docs/performance.md). For images
[B,H,W,C] and kernels [h,w,C/G,K] in float32, and in bfloat16 where the processor has it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.native import library
from cnn_jax.ops.windows import Padding, Pair, output_side

# Larger depthwise kernels have no fast gradient in oneDNN.
LARGEST_DEPTHWISE = 3
FORWARD, IMAGE_GRADIENT, KERNEL_GRADIENT = range(3)  # as in convolution.cc


def takes(dtype, size: tuple[int, ...], padding: Padding) -> bool:
    """Whether oneDNN computes a convolution with a kernel of this height and width.

    Raises:
      UserError: oneDNN cannot be used on this machine.
    """
    known = library.load()
    return (
        dtype == jnp.float32 or (dtype == jnp.bfloat16 and bool(known.CnnJaxHasBfloat16()))
    ) and all(0 <= pad < length for pads, length in zip(padding, size, strict=True) for pad in pads)


def takes_kernel_gradient(shape: tuple[int, ...]) -> bool:
    """Whether the gradient of a kernel of this shape is fast."""
    return shape[2] > 1 or max(shape[:2]) <= LARGEST_DEPTHWISE


def convolve(image, kernel, strides: Pair, padding: Padding, groups: int) -> jax.Array:
    """Returns f[B,H',W',K]."""
    side = output_side(image, kernel.shape[:2], strides, padding)
    result = jax.ShapeDtypeStruct((len(image), *side, kernel.shape[3]), image.dtype)
    return _call(FORWARD, kernel.shape, result, (image, kernel), strides, padding, groups)


def image_gradient(shape, kernel, gradient, strides: Pair, padding: Padding, groups: int):
    """Returns f[B,H,W,C] of this shape from the gradient of the output, f[B,H',W',K]."""
    result = jax.ShapeDtypeStruct(shape, gradient.dtype)
    return _call(IMAGE_GRADIENT, kernel.shape, result, (kernel, gradient), strides, padding, groups)


def kernel_gradient(image, shape, gradient, strides: Pair, padding: Padding, groups: int):
    """Returns f32[h,w,C/G,K] of this shape from the image and the gradient of the output."""
    result = jax.ShapeDtypeStruct(shape, jnp.float32)
    return _call(KERNEL_GRADIENT, shape, result, (image, gradient), strides, padding, groups)


def _is_slow_in_half(direction: int, kernel: tuple[int, ...], strides: Pair, groups: int) -> bool:
    """Whether oneDNN has no vectorised form of a depthwise convolution for bfloat16.

    Float32 is then faster, conversions included (docs/performance.md, "Convolutions by oneDNN").
    """
    depthwise = groups > 1 and kernel[2] == 1
    strided_gradient = direction == IMAGE_GRADIENT and strides != (1, 1)
    return depthwise and (strided_gradient or kernel[3] > groups)


def _call(direction: int, kernel, result, operands, strides, padding, groups) -> jax.Array:
    """Calls oneDNN for a convolution with a kernel of this shape."""
    computed = result
    if _is_slow_in_half(direction, kernel, strides, groups):
        computed = jax.ShapeDtypeStruct(result.shape, jnp.float32)
        operands = [operand.astype(jnp.float32) for operand in operands]
    call = jax.ffi.ffi_call(library.CONVOLVE, computed, vmap_method="sequential")
    output = call(
        *operands,
        direction=np.int64(direction),
        strides=np.array(strides, np.int64),
        padding=np.array(padding, np.int64).ravel(),
        groups=np.int64(groups),
    )
    return output.astype(result.dtype)

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
    wide = _is_slow_in_half(FORWARD, kernel.shape, strides, groups)
    return _call(FORWARD, result, (image, kernel), strides, padding, groups, wide)


def image_gradient(shape, kernel, gradient, strides: Pair, padding: Padding, groups: int):
    """Returns f[B,H,W,C] of this shape from the gradient of the output, f[B,H',W',K]."""
    result = jax.ShapeDtypeStruct(shape, gradient.dtype)
    wide = _is_slow_in_half(IMAGE_GRADIENT, kernel.shape, strides, groups)
    return _call(IMAGE_GRADIENT, result, (kernel, gradient), strides, padding, groups, wide)


def kernel_gradient(image, shape, gradient, strides: Pair, padding: Padding, groups: int):
    """Returns f32[h,w,C/G,K] of this shape from the image and the gradient of the output."""
    result = jax.ShapeDtypeStruct(shape, jnp.float32)
    wide = _is_slow_in_half(KERNEL_GRADIENT, shape, strides, groups)
    return _call(KERNEL_GRADIENT, result, (image, gradient), strides, padding, groups, wide)


def _is_slow_in_half(direction: int, kernel: tuple[int, ...], strides: Pair, groups: int) -> bool:
    """Whether oneDNN has no vectorised form of a depthwise convolution for bfloat16.

    Float32 is then faster, conversions included (docs/performance.md, "Convolutions by oneDNN").
    """
    depthwise = groups > 1 and kernel[2] == 1
    strided_gradient = direction == IMAGE_GRADIENT and strides != (1, 1)
    return depthwise and (strided_gradient or kernel[3] > groups)


def _call(direction: int, result, operands, strides, padding, groups, wide: bool) -> jax.Array:
    """Calls oneDNN; `wide`: in float32, whatever the dtypes of the operands and the result."""
    computed = jax.ShapeDtypeStruct(result.shape, jnp.float32) if wide else result
    if wide:
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

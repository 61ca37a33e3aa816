"""1x1 convolution as a matrix product of the pixels of all images and the kernel.

XLA:CPU treats it as a convolution, which is slow: the kernel's gradient, whose window is the whole
image, takes up to nine times as long as the matrix product.
"""

import jax
import jax.numpy as jnp

from cnn_jax.ops import xla
from cnn_jax.ops.windows import NONE, Pair, pad, padded_side

# The kernel's gradient is a sum over pixels in this many parts, where there are this many pixels
# for each channel of the deeper volume. Measured on two cores.
PARTS = 2 if xla.NEW else 1
LEAST_ROWS = 6


def convolve(image: jax.Array, kernel: jax.Array, strides: Pair) -> jax.Array:
    """Convolves f[B,H,W,C], f[1,1,C,F] -> f[B,H',W',F] without padding."""
    image = _taken(image, strides)
    return _product(_pixels(image), kernel[0, 0], image.dtype).reshape(*image.shape[:3], -1)


def image_gradient(gradient, kernel, shape: tuple[int, ...], strides: Pair) -> jax.Array:
    """Returns f[B,H,W,C] of this shape from the gradient of the output, f[B,H',W',F]."""
    taken = _product(_pixels(gradient), kernel[0, 0].T, gradient.dtype)
    taken = taken.reshape(*gradient.shape[:3], -1)
    reach = padded_side(taken, NONE, strides)
    return pad(taken, ((0, shape[1] - reach[0]), (0, shape[2] - reach[1])), strides)


def kernel_gradient(image: jax.Array, gradient: jax.Array, strides: Pair) -> jax.Array:
    """Returns f32[1,1,C,F] from the image and the gradient of the output."""
    return sum_of_products(_pixels(_taken(image, strides)), _pixels(gradient))[None, None]


def sum_of_products(left: jax.Array, right: jax.Array) -> jax.Array:
    """L^T R, the sum over many rows: f[N,C], f[N,F] -> f32[C,F].

    XLA:CPU is faster with `PARTS` sums over a part of the rows each, one a core, and with the
    narrower matrix as the first factor.
    """
    (rows, channels), filters = left.shape, right.shape[1]
    if PARTS == 1 or rows % PARTS or rows < LEAST_ROWS * max(channels, filters):
        return _product(left.T, right, jnp.float32)
    if channels > filters:
        return sum_of_products(right, left).T
    parts = (matrix.reshape(PARTS, -1, matrix.shape[1]) for matrix in (left, right))
    return jnp.einsum("pnc,pnf->pcf", *parts, preferred_element_type=jnp.float32).sum(0)


def _taken(image: jax.Array, strides: Pair) -> jax.Array:
    """The pixels at the strides."""
    return image[:, :: strides[0], :: strides[1]]


def _pixels(image: jax.Array) -> jax.Array:
    """f[B*H*W,C]."""
    return image.reshape(-1, image.shape[-1])


def _product(left: jax.Array, right: jax.Array, dtype) -> jax.Array:
    """A matrix product with sums in float32."""
    return jnp.matmul(left, right, preferred_element_type=jnp.float32).astype(dtype)

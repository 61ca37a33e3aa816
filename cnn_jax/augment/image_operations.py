"""Implements the operations of the policies; one compiled program applies any of them to any image.

An `Operation` encodes an operation as numbers. `apply` computes eight kinds of results and selects
one: an affine map covers all moves, and a blend with a base image covers four operations at the
cost of one. A `lax.switch` under `vmap` would compute all fifteen operations for each image.

The definitions are Pillow's, bit for bit: `Image.transform` and `Image.rotate` with nearest
neighbour, `ImageOps` and `ImageEnhance`. One exception: where the exact result of `autocontrast` is
an integer, Pillow's rounding errors sometimes give the integer below.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import UserError

# The kinds of operations. STRETCH is Pillow's autocontrast. The kinds from BLACK on blend the image
# with a base: black (Pillow's brightness), the mean grey (contrast), the greyscale image (color,
# here saturation) or the smoothed image (sharpness).
MOVE, MASK, STRETCH, EQUALIZE, BLACK, MEAN, GREY, SMOOTH = range(8)


class Operation(NamedTuple):
    """An operation encoded as numbers, or N of them with N as the first axis.

    Attributes:
      kind: i32[], one of the constants above; each other field belongs to one kind.
      matrix: i32[6], (a, b, c, d, e, f) in 1/65536 pixel, of MOVE: the pixel at row y and column x
        comes from column ax + by + c and row dx + ey + f, rounded down.
      mask: i32[], of MASK: the bits of a value that are kept.
      threshold: i32[], of MASK: values of at least this are then inverted.
      factor: f32[], of the blends: 0 is the base, 1 the image.
    """

    kind: Any = MOVE
    matrix: Any = (65536, 0, 32768, 0, 65536, 32768)
    mask: Any = 255
    threshold: Any = 256
    factor: Any = 1.0


def shear_x(slope: float) -> Operation:
    """Shears horizontally by `slope` pixels per row, to the left if positive."""
    return Operation(matrix=_fixed_point(1, slope, 0, 0, 1, 0))


def shear_y(slope: float) -> Operation:
    """Shears vertically by `slope` pixels per column, upwards if positive."""
    return Operation(matrix=_fixed_point(1, 0, 0, slope, 1, 0))


def translate_x(pixels: float) -> Operation:
    """Shifts the image left."""
    return Operation(matrix=_fixed_point(1, 0, pixels, 0, 1, 0))


def translate_y(pixels: float) -> Operation:
    """Shifts the image up."""
    return Operation(matrix=_fixed_point(1, 0, 0, 0, 1, pixels))


def rotate(degrees: float, height: int, width: int) -> Operation:
    """Rotates an image of this size counter-clockwise about its centre."""
    angle = -math.radians(degrees % 360)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    c, f = cos * -x + sin * -y + x, -sin * -x + cos * -y + y
    return Operation(matrix=_fixed_point(cos, sin, c, -sin, cos, f))


def _fixed_point(a, b, c, d, e, f) -> tuple[int, ...]:
    """Converts an affine map of coordinates to one of pixels, whose centres are at 1/2."""
    numbers = a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5
    return tuple(math.floor(number * 65536 + 0.5) for number in numbers)


def posterize(bits: int) -> Operation:
    """Keeps the highest bits of each value."""
    return Operation(MASK, mask=256 - 2 ** (8 - bits))


def solarize(threshold: float) -> Operation:
    """Inverts the values of at least the threshold; 0 inverts all."""
    return Operation(MASK, threshold=math.ceil(threshold))


def stack(operations: Sequence[Operation]) -> Operation:
    """Stacks N operations as arrays with N as the first axis."""
    *whole, factor = zip(*operations, strict=True)
    columns = [np.array(column, np.int32) for column in whole]
    return Operation._make([*columns, np.array(factor, np.float32)])


def apply(operation: Operation, image: jax.Array, fill: int) -> jax.Array:
    """Applies an operation to an image.

    Args:
      operation: The operation.
      image: u8[H,W,C] with one channel, or three (red, green, blue).
      fill: Value of pixels that a move shifts in, from 0 to 255.

    Returns:
      u8[H,W,C].
    """
    check(image)
    image, kind = jnp.asarray(image), operation.kind
    # All kinds read the original image: XLA would recompute an intermediate image for each place
    # at which it is read.
    masked = image.astype(jnp.int32) & operation.mask
    value = jnp.where(masked < operation.threshold, masked, 255 - masked)
    value = jnp.where(kind == STRETCH, _stretched(image), value)
    value = jnp.where(kind == EQUALIZE, _equalized(image), value)
    base = jnp.where(kind == GREY, grey(image), smooth(image))
    base = jnp.where(kind == MEAN, mean_grey(image), base)
    base = jnp.where(kind == BLACK, 0, base)
    out = jnp.where(kind >= BLACK, blend(base, image, operation.factor), value.astype(jnp.uint8))
    return jnp.where(kind == MOVE, _moved(image, operation.matrix, fill), out)


def check(image: jax.Array) -> None:
    """Raises UserError if an image or a batch of images is not u8[...,1] or u8[...,3]."""
    if image.dtype != jnp.uint8 or image.shape[-1] not in (1, 3):
        raise UserError(
            "operations on images need u8 images of 1 or 3 channels, got "
            f"{image.dtype} images of {image.shape[-1]}"
        )


def _moved(image: jax.Array, matrix: Any, fill: int) -> jax.Array:
    height, width, _ = image.shape
    x, y = jnp.arange(width), jnp.arange(height)[:, None]
    a, b, c, d, e, f = matrix
    column, row = (a * x + b * y + c) >> 16, (d * x + e * y + f) >> 16
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    found = image[jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)]
    return jnp.where(inside[..., None], found, jnp.uint8(fill))


def _stretched(image: jax.Array) -> jax.Array:
    """f32[H,W,C]: maps the minimum and maximum of each channel to 0 and 255."""
    value = image.astype(jnp.float32)
    least, most = value.min((0, 1)), value.max((0, 1))
    stretched = _divided((value - least) * 255, jnp.maximum(most - least, 1))
    return jnp.where(most > least, stretched, value)


def _equalized(image: jax.Array) -> jax.Array:
    """f32[H,W,C]: histogram equalisation of each channel."""
    height, width, channels = image.shape
    value, channel = image.astype(jnp.int32), jnp.arange(channels)
    count = jnp.zeros((256, channels)).at[value, channel].add(1)
    darker = jnp.cumsum(count, axis=0) - count
    brightest = count[value.max((0, 1)), channel]
    step = _divided(height * width - brightest, 255)
    equalized = _divided(_divided(step, 2) + darker[value, channel], jnp.maximum(step, 1))
    return jnp.where(step > 0, jnp.minimum(equalized, 255), image.astype(jnp.float32))


def _divided(number: jax.Array, by: Any) -> jax.Array:
    """number // by, for integers from 0 to a million, in f32, which is vectorised.

    Adding 1/2 keeps the quotient farther from an integer than its rounding error.
    """
    return jnp.floor((number + 0.5) / by)


def grey(image: jax.Array) -> jax.Array:
    """Returns the luma of ITU-R 601, u8[H,W,C] -> i32[H,W,1]."""
    if image.shape[-1] == 1:
        return image.astype(jnp.int32)
    red, green, blue = jnp.split(image.astype(jnp.int32), 3, axis=-1)
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


def mean_grey(image: jax.Array) -> jax.Array:
    """Returns the rounded mean luma, u8[H,W,C] -> i32[]."""
    number = image.shape[0] * image.shape[1]
    return (2 * grey(image).sum() + number) // (2 * number)


def smooth(image: jax.Array) -> jax.Array:
    """Applies a 3x3 filter (5 amid ones) except at the edge, u8[H,W,C] -> i32[H,W,C]."""
    value = image.astype(jnp.int32)
    three = value[:-2] + value[1:-1] + value[2:]
    nine = three[:, :-2] + three[:, 1:-1] + three[:, 2:]
    inner = value[1:-1, 1:-1]
    return value.at[1:-1, 1:-1].set((nine + 4 * inner + 6) // 13)


def blend(base: jax.Array, image: jax.Array, factor: Any) -> jax.Array:
    """Returns base + factor (image - base), clipped to 0..255 and rounded down, as u8."""
    base = jnp.asarray(base, jnp.float32)
    change = factor * (image.astype(jnp.float32) - base)
    # The bound is never reached. It prevents a fused multiply-add, which would round once where
    # Pillow rounds twice.
    change = jnp.maximum(change, -1e9)
    return jnp.clip(base + change, 0, 255).astype(jnp.uint8)

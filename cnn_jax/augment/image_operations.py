"""The operations of the policies, as numbers: one program does any of them to any image.

`apply` does eight things to an image and keeps what is asked for: a shift of places covers all
affine maps, and a blend with a plainer version of the image is four things for the cost of one. A
`lax.switch` would compute all fifteen operations where each image of a batch has its own.

The definitions are Pillow's, bit for bit: `Image.transform` and `Image.rotate` with the nearest
neighbour, `ImageOps` and `ImageEnhance`. (One exception: where `autocontrast` should come to a
whole number, Pillow's rounding errors sometimes make it the number below.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import UserError

# What an operation does. From BLACK on it blends the image with that.
MOVE, MASK, STRETCH, EQUALIZE, BLACK, MEAN, GREY, SMOOTH = range(8)


class Operation(NamedTuple):
    """An operation as numbers, or N of them with N as the first axis.

    Attributes:
      kind: i32[], one of the above; what follows counts for one kind each.
      matrix: i32[6], (a, b, c, d, e, f) in 65536ths of a pixel: what comes to row y and column x
        was at column ax + by + c and row dx + ey + f, rounded down.
      mask: i32[], the bits of a value that stay.
      threshold: i32[], the value from which on values are then inverted.
      factor: f32[], how far from what is blended in towards the image, or beyond it.
    """

    kind: Any = MOVE
    matrix: Any = (65536, 0, 32768, 0, 65536, 32768)
    mask: Any = 255
    threshold: Any = 256
    factor: Any = 1.0


def shear_x(slope: float) -> Operation:
    """Shifts each row by `slope` pixels a row, left for a positive one."""
    return Operation(matrix=_fixed_point(1, slope, 0, 0, 1, 0))


def shear_y(slope: float) -> Operation:
    """Shifts each column by `slope` pixels a column, up for a positive one."""
    return Operation(matrix=_fixed_point(1, 0, 0, slope, 1, 0))


def translate_x(pixels: float) -> Operation:
    """Shifts the image left."""
    return Operation(matrix=_fixed_point(1, 0, pixels, 0, 1, 0))


def translate_y(pixels: float) -> Operation:
    """Shifts the image up."""
    return Operation(matrix=_fixed_point(1, 0, 0, 0, 1, pixels))


def rotate(degrees: float, height: int, width: int) -> Operation:
    """Turns an image of this size counter-clockwise about its centre."""
    angle = -math.radians(degrees % 360)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    c, f = cos * -x + sin * -y + x, -sin * -x + cos * -y + y
    return Operation(matrix=_fixed_point(cos, sin, c, -sin, cos, f))


def _fixed_point(a, b, c, d, e, f) -> tuple[int, ...]:
    """An affine map of continuous places, as one of the pixels, which lie half a pixel inside."""
    numbers = a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5
    return tuple(math.floor(number * 65536 + 0.5) for number in numbers)


def posterize(bits: int) -> Operation:
    """Keeps the highest bits of each value."""
    return Operation(MASK, mask=256 - 2 ** (8 - bits))


def solarize(threshold: float) -> Operation:
    """Inverts the values from the threshold on."""
    return Operation(MASK, threshold=math.ceil(threshold))


def invert() -> Operation:
    """Inverts all values."""
    return solarize(0)


def autocontrast() -> Operation:
    """Stretches each channel's values to 0..255."""
    return Operation(STRETCH)


def equalize() -> Operation:
    """Makes each channel's values about equally frequent."""
    return Operation(EQUALIZE)


def brightness(factor: float) -> Operation:
    """0 is black, 1 the image."""
    return Operation(BLACK, factor=factor)


def contrast(factor: float) -> Operation:
    """0 is the mean grey, 1 the image."""
    return Operation(MEAN, factor=factor)


def saturation(factor: float) -> Operation:
    """0 is the image in greys, 1 the image. (Pillow's and the policies' "Color".)"""
    return Operation(GREY, factor=factor)


def sharpness(factor: float) -> Operation:
    """0 is the image smoothed, 1 the image."""
    return Operation(SMOOTH, factor=factor)


def stack(operations: Sequence[Operation]) -> Operation:
    """N operations as arrays."""
    *whole, factor = zip(*operations, strict=True)
    columns = [np.array(column, np.int32) for column in whole]
    return Operation._make([*columns, np.array(factor, np.float32)])


def apply(operation: Operation, image: jax.Array, fill: int) -> jax.Array:
    """Does an operation to an image.

    Args:
      operation: The operation.
      image: u8[H,W,C], of one channel or of three (red, green, blue).
      fill: What is put where a shift leaves nothing, from 0 to 255.

    Returns:
      u8[H,W,C].
    """
    check(image)
    image, kind = jnp.asarray(image), operation.kind
    # All from the same image, not one from the other's result: what is read at many places would
    # be computed anew for each.
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
    """Raises UserError where an image or a batch of images is not u8[...,1] or u8[...,3]."""
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
    """f32[H,W,C]: each channel from its least and greatest value to 0 and 255."""
    value = image.astype(jnp.float32)
    least, most = value.min((0, 1)), value.max((0, 1))
    stretched = _divided((value - least) * 255, jnp.maximum(most - least, 1))
    return jnp.where(most > least, stretched, value)


def _equalized(image: jax.Array) -> jax.Array:
    """f32[H,W,C]: each value by how many of its channel's pixels are darker."""
    height, width, channels = image.shape
    value, channel = image.astype(jnp.int32), jnp.arange(channels)
    count = jnp.zeros((256, channels)).at[value, channel].add(1)
    darker = jnp.cumsum(count, axis=0) - count
    brightest = count[value.max((0, 1)), channel]
    step = _divided(height * width - brightest, 255)
    equalized = _divided(_divided(step, 2) + darker[value, channel], jnp.maximum(step, 1))
    return jnp.where(step > 0, jnp.minimum(equalized, 255), image.astype(jnp.float32))


def _divided(number: jax.Array, by: Any) -> jax.Array:
    """number // by, for whole numbers from 0 to a million, in f32: that is vectorised.

    With the half, the quotient is never nearer to a whole number than it is off.
    """
    return jnp.floor((number + 0.5) / by)


def grey(image: jax.Array) -> jax.Array:
    """u8[H,W,C] -> i32[H,W,1], the luma of ITU-R 601."""
    if image.shape[-1] == 1:
        return image.astype(jnp.int32)
    red, green, blue = jnp.split(image.astype(jnp.int32), 3, axis=-1)
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


def mean_grey(image: jax.Array) -> jax.Array:
    """u8[H,W,C] -> i32[], the mean luma, rounded."""
    number = image.shape[0] * image.shape[1]
    return (2 * grey(image).sum() + number) // (2 * number)


def smooth(image: jax.Array) -> jax.Array:
    """u8[H,W,C] -> i32[H,W,C]: a 3x3 filter with 5 in the middle and 1 around; not at the edge."""
    value = image.astype(jnp.int32)
    three = value[:-2] + value[1:-1] + value[2:]
    nine = three[:, :-2] + three[:, 1:-1] + three[:, 2:]
    inner = value[1:-1, 1:-1]
    return value.at[1:-1, 1:-1].set((nine + 4 * inner + 6) // 13)


def blend(base: jax.Array, image: jax.Array, factor: Any) -> jax.Array:
    """base + factor (image - base), cut off at 0 and 255 and rounded down: u8, as the image."""
    base = jnp.asarray(base, jnp.float32)
    change = factor * (image.astype(jnp.float32) - base)
    # The bound is never reached. It keeps compilers from contracting product and sum, which would
    # round once where Pillow rounds twice.
    change = jnp.maximum(change, -1e9)
    return jnp.clip(base + change, 0, 255).astype(jnp.uint8)

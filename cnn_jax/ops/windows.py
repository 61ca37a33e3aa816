"""Sizes, padding and windows of convolutions."""

import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
NONE: Padding = ((0, 0), (0, 0))


def windows(image: jax.Array, size: Sequence[int], strides: Pair, side) -> Iterator[jax.Array]:
    """Yields for each kernel position the pixels that it multiplies: f[B,H',W',C].

    Args:
      image: f[B,H,W,C], padded.
      size: Height and width of the kernel.
      strides: Vertical and horizontal stride.
      side: Height and width of the output, H' and W'.
    """
    batch, _, _, channels = image.shape
    for start in itertools.product(*(range(length) for length in size)):
        stop = [s + (n - 1) * step + 1 for s, n, step in zip(start, side, strides, strict=True)]
        yield lax.slice(image, (0, *start, 0), (batch, *stop, channels), (1, *strides, 1))


def pad(image: jax.Array, padding: Padding, dilation: Pair = (1, 1)) -> jax.Array:
    """Dilates and pads with zeros, or crops where the padding is negative."""
    between = [(*pads, step - 1) for pads, step in zip(padding, dilation, strict=True)]
    return lax.pad(image, jnp.zeros((), image.dtype), [(0, 0, 0), *between, (0, 0, 0)])


def padded_side(image, padding: Padding, dilation: Pair = (1, 1)) -> list[int]:
    """Height and width of a dilated and padded image."""
    sides = zip(image.shape[1:3], padding, dilation, strict=True)
    return [(length - 1) * step + 1 + sum(pads) for length, pads, step in sides]


def output_side(image, size, strides: Pair, padding: Padding, dilation: Pair = (1, 1)) -> list[int]:
    """Height and width of a convolution's output."""
    padded = padded_side(image, padding, dilation)
    return [(n - length) // step + 1 for n, length, step in zip(padded, size, strides, strict=True)]


def full_padding(image, gradient, kernel, strides, padding) -> Padding:
    """Padding of the output's gradient, dilated by the strides, that gives the image's gradient.

    Args: the shapes of image, gradient and kernel, then the forward convolution's settings.
    """
    pads = []
    for axis in range(2):
        before = kernel[axis] - 1 - padding[axis][0]
        reach = (gradient[axis + 1] - 1) * strides[axis] + 1 + before
        pads.append((before, image[axis + 1] + kernel[axis] - 1 - reach))
    return pads[0], pads[1]

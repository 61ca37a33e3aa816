"""Max pooling with a gradient that is one pass over the image."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops.forms import fast
from cnn_jax.ops.windows import pad


def max_pool(image: jax.Array, window: int, stride: int | None = None) -> jax.Array:
    """Max pooling without padding: f32[B,H,W,C] -> f32[B,(H-window)//stride+1,...,C].

    Values and gradients equal those of `nn.max_pool`: a window's gradient goes to the first of its
    largest entries. XLA:CPU's gradient of `reduce_window` scatters, which takes several times as
    long. Forward-mode derivatives need `ops.stock()`.

    Args:
      image: f32[B,H,W,C].
      window: Side of the square window in pixels.
      stride: Step between windows in pixels; default: `window`.

    Raises:
      ValueError: The window is larger than the image.
    """
    stride = stride or window
    height, width = image.shape[1:3]
    if min(height, width) < window:
        raise ValueError(f"a {window}x{window} pool needs a larger volume than {height}x{width}")
    if not fast():
        return nn.max_pool(image, (window, window), (stride, stride))
    # What no window reaches has no gradient.
    reach = [(side - window) // stride * stride + window for side in (height, width)]
    return _max_of_windows(image[:, : reach[0], : reach[1]], window, stride)


def _entries(image: jax.Array, window: int, stride: int) -> list[jax.Array]:
    """Returns, for each position in a window, the entries of all windows: f32[B,H',W',C] each."""
    batch, height, width, channels = image.shape
    reach = [(side - window) // stride * stride + 1 for side in (height, width)]
    return [
        jax.lax.slice(
            image,
            (0, row, column, 0),
            (batch, row + reach[0], column + reach[1], channels),
            (1, stride, stride, 1),
        )
        for row, column in itertools.product(range(window), repeat=2)
    ]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _max_of_windows(image: jax.Array, window: int, stride: int) -> jax.Array:
    return functools.reduce(jnp.maximum, _entries(image, window, stride))


def _forward(image, window, stride):
    """Also returns the position of the maximum, a byte for each window, for the backward pass."""
    largest, *others = _entries(image, window, stride)
    place = jnp.zeros(largest.shape, np.min_scalar_type(window**2))
    for number, entry in enumerate(others, 1):
        place = jnp.where(entry > largest, number, place).astype(place.dtype)
        largest = jnp.maximum(largest, entry)
    return largest, place


def _backward(window, stride, place, gradient):
    if stride == window:
        return (_gradient_of_tiles(window, place, gradient),)
    return (_gradient_of_overlapping(window, stride, place, gradient),)


_max_of_windows.defvjp(_forward, _backward)


def _gradient_of_tiles(window, place, gradient):
    batch, rows, columns, channels = place.shape
    tiles = (batch, rows, window, columns, window, channels)
    row, column = (jax.lax.broadcasted_iota(place.dtype, tiles, axis) for axis in (2, 4))
    place, gradient = (a[:, :, None, :, None, :] for a in (place, gradient))
    image = jnp.where(place == row * window + column, gradient, 0)
    return image.reshape(batch, rows * window, columns * window, channels)


def _gradient_of_overlapping(window, stride, place, gradient):
    """Sums what each position in the windows gets, moved to its place in the image."""
    # XLA fuses the sum into one pass, and would compute the gradient once for each position.
    gradient = jax.lax.optimization_barrier(gradient)
    parts = (
        pad(
            jnp.where(place == row * window + column, gradient, 0),
            ((row, window - 1 - row), (column, window - 1 - column)),
            (stride, stride),
        )
        for row, column in itertools.product(range(window), repeat=2)
    )
    return functools.reduce(jnp.add, parts)

"""Max pooling with a gradient that is one pass over the image."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops.forms import fast


def max_pool(image: jax.Array, window: int, stride: int | None = None) -> jax.Array:
    """Max pooling without padding: f32[B,H,W,C] -> f32[B,(H-window)//stride+1,...,C].

    The values equal those of `nn.max_pool`. So do the gradients if windows do not overlap: they go
    to the first of the largest entries. Otherwise each comparison of two equal entries halves the
    gradient between them. XLA:CPU's gradient of `reduce_window` scatters, which takes several times
    as long. Forward-mode derivatives need `ops.stock()`.

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
    if stride == window:
        whole = image[:, : height - height % window, : width - width % window]
        return _max_of_tiles(whole, window)
    return functools.reduce(jnp.maximum, _entries(image, window, stride))


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


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_of_tiles(image: jax.Array, window: int) -> jax.Array:
    return functools.reduce(jnp.maximum, _entries(image, window, window))


def _forward(image, window):
    """Also returns the position of the maximum, a byte for each tile, for the backward pass."""
    largest, *others = _entries(image, window, window)
    place = jnp.zeros(largest.shape, np.min_scalar_type(window**2))
    for number, entry in enumerate(others, 1):
        place = jnp.where(entry > largest, number, place).astype(place.dtype)
        largest = jnp.maximum(largest, entry)
    return largest, place


def _backward(window, place, gradient):
    batch, rows, columns, channels = place.shape
    tiles = (batch, rows, window, columns, window, channels)
    row, column = (jax.lax.broadcasted_iota(place.dtype, tiles, axis) for axis in (2, 4))
    place, gradient = (a[:, :, None, :, None, :] for a in (place, gradient))
    image = jnp.where(place == row * window + column, gradient, 0)
    return (image.reshape(batch, rows * window, columns * window, channels),)


_max_of_tiles.defvjp(_forward, _backward)

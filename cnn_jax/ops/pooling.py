"""Max pooling as the maximum of strided slices."""

from __future__ import annotations

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.ops.switch import fast


def max_pool(image: jax.Array, window: int, stride: int | None = None) -> jax.Array:
    """Maximum over windows, without padding: f32[B,H,W,C] -> f32[B,(H-window)//stride+1,...,C].

    The values are those of `nn.max_pool`. Where entries of a window tie, each comparison on the way
    to the maximum halves the gradient between its two sides, while `nn.max_pool` gives all of it to
    the first. XLA:CPU's gradient of `reduce_window` scatters, and takes several times as long.

    Args:
      image: f32[B,H,W,C].
      window: side of the square window in pixels.
      stride: step between windows in pixels; default: `window`.

    Raises:
      ValueError: where the window is larger than the image.
    """
    stride = stride or window
    if min(image.shape[1:3]) < window:
        height, width = image.shape[1:3]
        raise ValueError(f"a {window}x{window} pool needs a larger volume than {height}x{width}")
    if not fast():
        return nn.max_pool(image, (window, window), (stride, stride))
    height, width = ((side - window) // stride + 1 for side in image.shape[1:3])
    slices = (
        jax.lax.slice(
            image,
            (0, row, column, 0),
            (
                image.shape[0],
                row + (height - 1) * stride + 1,
                column + (width - 1) * stride + 1,
                image.shape[3],
            ),
            (1, stride, stride, 1),
        )
        for row, column in itertools.product(range(window), repeat=2)
    )
    return functools.reduce(jnp.maximum, slices)

"""Mean pooling to a fixed height and width, whatever the size of the image."""

import jax
import jax.numpy as jnp


def adaptive_avg_pool(volume: jax.Array, side: int) -> jax.Array:
    """Average pooling to a fixed size: f[B,H,W,C] -> f[B,side,side,C].

    Entry i of a row or column is the mean of the entries from floor(i N / side) up to, and without,
    ceil((i + 1) N / side), as in PyTorch's `AdaptiveAvgPool2d`. Windows overlap if `side` does not
    divide N; a volume smaller than `side` is enlarged; one of that size is returned as it is.

    Args:
      volume: f[B,H,W,C].
      side: Height and width of the result in pixels.
    """
    for axis in (1, 2):
        length = volume.shape[axis]
        if length == side:
            continue
        means = [
            jax.lax.slice_in_dim(
                volume, index * length // side, -(-(index + 1) * length // side), axis=axis
            ).mean(axis=axis, keepdims=True)
            for index in range(side)
        ]
        volume = jnp.concatenate(means, axis)
    return volume

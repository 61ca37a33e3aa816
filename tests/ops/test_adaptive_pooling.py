from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops


def pooled(volume, side):
    """PyTorch's definition, entry by entry."""
    batch, height, width, channels = volume.shape
    out = np.empty((batch, side, side, channels))
    for row, column in np.ndindex(side, side):
        top, bottom = int(np.floor(row * height / side)), int(np.ceil((row + 1) * height / side))
        left, right = (
            int(np.floor(column * width / side)),
            int(np.ceil((column + 1) * width / side)),
        )
        out[:, row, column] = volume[:, top:bottom, left:right].mean((1, 2))
    return out


SHAPES = [(2, 7, 7, 3), (1, 14, 7, 2), (2, 10, 13, 2), (1, 3, 5, 4), (2, 1, 1, 3), (1, 8, 20, 2)]


@pytest.mark.parametrize("side", [1, 6, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_entry_is_the_mean_of_its_window(shape, side):
    volume = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    out = ops.adaptive_avg_pool(volume, side)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, pooled(volume, side), rtol=1e-5, atol=1e-6)


def test_the_gradient_spreads_over_each_window():
    """Of 4 entries to 3: the windows are 0-1, 1-2 and 2-3, so the inner entries are in two."""
    volume = np.zeros((1, 4, 4, 1), np.float32)
    gradient = jax.grad(lambda x: ops.adaptive_avg_pool(x, 3).sum())(volume)[0, :, :, 0]
    shares = np.array([0.5, 1, 1, 0.5])
    np.testing.assert_allclose(gradient, np.outer(shares, shares), rtol=1e-6)

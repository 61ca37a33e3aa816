from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops

SETTINGS = [{}, {"k": 1.0, "n": 3, "alpha": 0.2, "beta": 0.5}, {"n": 7, "alpha": 0.05}]


def volumes(*shape):
    return 20 * np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def normalised(volume, k=2.0, n=5, alpha=1e-4, beta=0.75):
    """The formula of section 3.3, channel by channel; half a window is cut off at either end."""
    a, depth = volume.astype(float), volume.shape[3]
    out = np.empty_like(a)
    for i in range(depth):
        first, last = max(0, i - n // 2), min(depth - 1, i + n // 2)
        total = sum(a[..., j] ** 2 for j in range(first, last + 1))
        out[..., i] = a[..., i] / (k + alpha * total) ** beta
    return out


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("depth", [1, 4, 11])
def test_values_are_the_definition(depth, settings):
    volume = volumes(2, 3, 4, depth)
    out = ops.local_response_norm(volume, **settings)
    np.testing.assert_allclose(out, normalised(volume, **settings), rtol=1e-5)


def test_gradient_by_finite_differences():
    volume, direction = volumes(1, 2, 2, 8).astype(np.float64) / 20, volumes(1, 2, 2, 8) / 20
    step, settings = 1e-5, {"alpha": 0.3}
    ahead, behind = (normalised(volume + s * direction, **settings) for s in (step, -step))
    slope = np.cos(volume) * (ahead - behind) / (2 * step)
    gradient = jax.grad(lambda x: (np.cos(volume) * ops.local_response_norm(x, **settings)).sum())
    product = np.vdot(gradient(volume.astype(np.float32)), direction)
    assert product == pytest.approx(slope.sum(), rel=1e-4)


def test_half_precision_sums_in_float32():
    """The sum is 0.0075, and 2.0075 would be 2 in bfloat16; a large exponent makes that 3 %."""
    volume, settings = np.full((1, 1, 1, 5), 4.0), {"alpha": 0.0075 / 80, "beta": 8.0}
    out = ops.local_response_norm(jnp.asarray(volume, jnp.bfloat16), **settings)
    assert out.dtype == jnp.bfloat16
    middle = normalised(volume, **settings)[..., 2]
    np.testing.assert_allclose(np.asarray(out, float)[..., 2], middle, rtol=2**-8)

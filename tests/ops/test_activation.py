from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops

X = np.linspace(-9, 9, 181)


def exact(x: np.ndarray) -> np.ndarray:
    return np.array([0.5 * value * math.erfc(-value / math.sqrt(2)) for value in x])


def test_values_are_the_definition():
    np.testing.assert_allclose(ops.gelu(X.astype(np.float32)), exact(X), rtol=1e-5, atol=1e-6)


def test_half_precision_keeps_its_digits_where_little_is_left():
    x = jnp.linspace(-4, -1, 31, dtype=jnp.bfloat16)
    value = np.asarray(jax.jit(ops.gelu)(x), float)
    np.testing.assert_allclose(value, exact(np.asarray(x, float)), rtol=0.01)


def test_derivatives_by_finite_differences():
    step = 1e-4
    expected = (exact(X + step) - exact(X - step)) / (2 * step)
    slope = jax.vmap(jax.grad(ops.gelu))(X.astype(np.float32))
    np.testing.assert_allclose(slope, expected, atol=2e-6)
    tangents = jax.jvp(ops.gelu, (X.astype(np.float32),), (np.ones(len(X), np.float32),))[1]
    np.testing.assert_allclose(tangents, expected, atol=2e-6)
    step = 1e-3
    expected = (exact(X + step) - 2 * exact(X) + exact(X - step)) / step**2
    curvature = jax.vmap(jax.grad(jax.grad(ops.gelu)))(X.astype(np.float32))
    np.testing.assert_allclose(curvature, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_way_back_keeps_one_array(dtype):
    x = jax.ShapeDtypeStruct((1000,), dtype)

    def kept(gelu):
        pullback = jax.eval_shape(lambda x: jax.vjp(gelu, x)[1], x)
        return [leaf for leaf in jax.tree.leaves(pullback) if leaf.size == 1000]

    assert [leaf.dtype for leaf in kept(ops.gelu)] == [jnp.dtype(dtype)]
    assert len(kept(lambda x: nn.gelu(x, approximate=False))) > 1

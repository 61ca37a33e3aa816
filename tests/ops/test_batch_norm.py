"""BatchNorm and its gradient against the definition in double precision and Flax's module."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.models import layers

EPSILON = 1e-3
SHAPES = [(6, 5, 4, 3), (40, 7), (2, 1, 1, 5)]


def arrays(*shape):
    """A volume, a scale, a bias and weights of the three results."""
    random = np.random.default_rng(len(shape))
    depth = shape[-1]
    x = random.standard_normal(shape) * random.uniform(0.5, 3, depth) + random.normal(size=depth)
    return x, *(random.standard_normal(size) for size in (depth, depth, shape, depth, depth))


def definition(x, scale, bias):
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    return (x - mean) / np.sqrt(variance + EPSILON) * scale + bias, mean, variance


def total(norm, of_y, of_mean, of_variance, *values):
    """One number that depends on the result, the mean and the variance."""
    y, mean, variance = norm(*values)
    return (of_y * y).sum() + (of_mean * mean).sum() + (of_variance * variance).sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_the_definition(shape):
    *values, _, _, _ = arrays(*shape)
    results = jax.jit(ops.batch_norm, static_argnums=3)(
        *(jnp.asarray(value, jnp.float32) for value in values), EPSILON
    )
    for mine, true in zip(results, definition(*values), strict=True):
        assert mine.dtype == jnp.float32
        np.testing.assert_allclose(mine, true, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_by_finite_differences(shape):
    x, scale, bias, *weights = arrays(*shape)
    values, step = [x, scale, bias], 1e-6
    gradients = jax.grad(
        lambda *v: total(lambda *a: ops.batch_norm(*a, EPSILON), *weights, *v), argnums=(0, 1, 2)
    )(*(jnp.asarray(value, jnp.float32) for value in values))
    for place, gradient in enumerate(gradients):
        expected = np.zeros(values[place].shape)
        for index in np.ndindex(expected.shape):
            sides = []
            for sign in (1, -1):
                moved = [value.copy() for value in values]
                moved[place][index] += sign * step
                sides.append(total(definition, *weights, *moved))
            expected[index] = (sides[0] - sides[1]) / (2 * step)
        # An entry may be the difference of far larger ones.
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


@pytest.mark.parametrize("part", [1, 2])
def test_moments_of_parts_side_by_side_are_those_of_the_whole(part):
    """In value and gradient: what a part's moments give to it is added to what the result gives."""
    x, scale, bias, *weights = (jnp.asarray(v, jnp.float32) for v in arrays(6, 5, 4, 3))

    def whole(*values):
        return ops.batch_norm(*values, EPSILON)

    def parts(x, scale, bias):
        known = ops.moments(x[..., :part]).joined(ops.moments(x[..., part:]))
        return ops.batch_norm(x, scale, bias, EPSILON, known)

    one, other = (
        jax.value_and_grad(lambda *v, norm=norm: total(norm, *weights, *v), (0, 1, 2))
        for norm in (whole, parts)
    )
    for mine, theirs in zip(
        jax.tree.leaves(other(x, scale, bias)), jax.tree.leaves(one(x, scale, bias)), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


def test_half_precision_keeps_its_dtype_and_sums_in_float32():
    """65,536 ones and a 3: in bfloat16, the sum would stop at 256."""
    x = jnp.ones((256, 16, 16, 1), jnp.bfloat16).at[0, 0, 0, 0].set(3)
    one, zero = jnp.ones(1, jnp.bfloat16), jnp.zeros(1, jnp.bfloat16)
    (y, mean, variance), pullback = jax.vjp(lambda *a: ops.batch_norm(*a, EPSILON), x, one, zero)
    assert (y.dtype, mean.dtype, variance.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    assert mean[0] == pytest.approx(1 + 2 / 65536, rel=1e-6)
    of_x, of_scale, of_bias = pullback((jnp.ones_like(y), jnp.zeros(1), jnp.zeros(1)))
    assert {g.dtype for g in (of_x, of_scale, of_bias)} == {jnp.dtype(jnp.bfloat16)}
    assert of_bias[0] == 65536


@pytest.mark.parametrize(
    "options", [{}, {"use_scale": False, "epsilon": 1e-12}, {"use_bias": False, "momentum": 0.6}]
)
def test_the_layer_is_flaxs(options):
    """Names, parameters, results, running statistics and gradients of `nn.BatchNorm`."""
    x, *_, weights = (jnp.asarray(value, jnp.float32) for value in arrays(6, 5, 4, 3)[:4])

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            return layers.batch_norm(train=train, **options)(x)

    def run(stock):
        with ops.stock(stock):
            net = Net()
            variables = net.init(jax.random.key(0), x, True)
            trained = jax.tree.map(lambda leaf: leaf + 0.5, variables)

            def loss(params, x):
                y, new = net.apply(trained | {"params": params}, x, True, mutable="batch_stats")
                return (weights * y).sum(), (y, new)

            gradients, (y, new) = jax.grad(loss, (0, 1), has_aux=True)(trained["params"], x)
            return variables, net.apply(trained, x, False), y, new, gradients

    mine, theirs = run(stock=False), run(stock=True)
    assert jax.tree.structure(mine) == jax.tree.structure(theirs)
    for ours, flaxs in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        assert (ours.dtype, ours.shape) == (flaxs.dtype, flaxs.shape)
        np.testing.assert_allclose(ours, flaxs, rtol=1e-4, atol=1e-5)


def test_the_gradient_reads_the_volume_less_often_than_flaxs():
    """Both are compiled for one volume; the bytes that the compiler counts say how often."""
    x, scale = jax.ShapeDtypeStruct((64, 32, 32, 16), jnp.float32), jnp.ones(16)
    norm = nn.BatchNorm(use_running_average=False, use_bias=False)

    def flaxs(x, scale):
        variables = {"params": {"scale": scale}, "batch_stats": {"mean": scale, "var": scale}}
        return (norm.apply(variables, x, mutable="batch_stats")[0] ** 2).sum()

    def ours(x, scale):
        return (ops.batch_norm(x, scale, jnp.zeros(16), 1e-5)[0] ** 2).sum()

    def accessed(loss):
        cost = jax.jit(jax.grad(loss, (0, 1))).lower(x, scale).compile().cost_analysis()
        return cost["bytes accessed"]

    assert accessed(ours) < 0.85 * accessed(flaxs)

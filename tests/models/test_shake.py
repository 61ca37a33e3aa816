"""Shake-Shake and ShakeDrop: forward noise, backward noise, and none in evaluation."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled, volumes

from cnn_jax import models, ops
from cnn_jax.models.shakedrop import ShakeDrop, scaled
from cnn_jax.models.shakeshake import ShakeBlock, Shortcut


def test_a_scaled_volume_has_the_gradient_of_another_scale():
    x, weight = volumes(3, 2, 2, 4), volumes(3, 2, 2, 4, seed=1)
    forward, backward = (np.reshape(s, (3, 1, 1, 1)) for s in ([2.0, -1.0, 0.5], [0.0, 3.0, 1.0]))
    out, pullback = jax.vjp(scaled, x, forward, backward)
    np.testing.assert_allclose(out, x * forward, rtol=1e-6)
    of_x, of_forward, of_backward = pullback(jnp.asarray(weight))
    np.testing.assert_allclose(of_x, weight * backward, rtol=1e-6)
    assert not np.any(of_forward) and not np.any(of_backward)
    assert scaled(jnp.asarray(x, jnp.bfloat16), forward, backward).dtype == jnp.bfloat16


def dropped(rate, seed=0, count=4000):
    """The factors of ShakeDrop on many residuals and on their gradients: f32[count] both."""
    layer, ones = ShakeDrop(rate), jnp.ones((count, 2, 1, 3))

    def run(x):
        return layer.apply({}, x, train=True, rngs={"dropout": jax.random.key(seed)})

    out, pullback = jax.vjp(run, ones)
    (gradient,) = pullback(ones)
    for numbers in (out, gradient):  # one number for all of an example
        np.testing.assert_array_equal(numbers, numbers[:, :1, :1, :1] * ones)
    return np.asarray(out[:, 0, 0, 0]), np.asarray(gradient[:, 0, 0, 0])


def test_shakedrop_disturbs_a_share_of_the_examples():
    """b + alpha - b alpha forward, b + beta - b beta backward: 1, or alpha and beta."""
    forward, backward = dropped(0.4)
    disturbed = forward != 1
    assert disturbed.mean() == pytest.approx(0.4, abs=0.03)
    np.testing.assert_array_equal(disturbed, backward != 1)
    alpha, beta = forward[disturbed], backward[disturbed]
    for drawn, low in ((alpha, -1), (beta, 0)):
        expected = np.linspace(low, 1, len(drawn))
        np.testing.assert_allclose(np.sort(drawn), expected, atol=0.1)  # uniform from low to 1
    assert abs(np.corrcoef(alpha, beta)[0, 1]) < 0.1


def test_shakedrop_draws_anew():
    assert (dropped(0.4)[0] != dropped(0.4, seed=1)[0]).any()


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5])
def test_shakedrop_in_evaluation_is_its_expected_value(rate):
    x = volumes(3, 2, 2, 4)
    out = ShakeDrop(rate).apply({}, x, train=False)
    np.testing.assert_allclose(out, (1 - rate) * x, rtol=1e-6)
    assert dropped(rate)[0].mean() == pytest.approx(1 - rate, abs=0.03)


def test_shakedrop_without_a_rate_draws_nothing():
    x = volumes(3, 2, 2, 4)
    np.testing.assert_array_equal(ShakeDrop(0.0).apply({}, x, train=True), x)


def test_later_blocks_of_a_pyramid_are_disturbed_more_often():
    rates = []

    def note(call, arguments, options, context):
        if isinstance(context.module, ShakeDrop) and context.method_name == "__call__":
            rates.append(context.module.death_rate)
        return call(*arguments, **options)

    model = models.PyramidNet(depth=14, alpha=12, shakedrop=0.5, num_classes=3)
    with nn.intercept_methods(note), ops.stock():
        jax.eval_shape(
            lambda x: model.init(jax.random.key(0), x, train=False), jnp.zeros((1, 8, 8, 3))
        )
    np.testing.assert_allclose(rates, [0.5 * block / 6 for block in range(1, 7)])


class Shaken:
    """A block of Shake-Shake on 16 examples, and what its branches give alone."""

    block = ShakeBlock(width=4, stride=1)
    branches = ("Branch_0", "Branch_1")

    def __init__(self):
        self.x = jnp.asarray(volumes(16, 4, 5, 4))
        made = filled(self.block, self.x, train=False)
        self.params, self.stats = made["params"], made["batch_stats"]
        self.run = jax.jit(self.apply, static_argnames="train")

    def apply(self, params, key, train):
        return self.block.apply(
            {"params": params, "batch_stats": self.stats},
            self.x,
            train=train,
            rngs={"dropout": key},
            mutable=["batch_stats"] if train else False,
        )

    def added(self, params, *, train, seed=0):
        out = self.run(params, jax.random.key(seed), train)
        return (out[0] if train else out) - self.x

    def without(self, branch):
        """The parameters with a branch that outputs zeros."""
        nothing = jax.tree.map(jnp.zeros_like, self.params[branch])
        return {**self.params, branch: nothing}


@pytest.fixture(scope="module")
def shaken():
    return Shaken()


def test_in_evaluation_the_branches_are_averaged(shaken):
    first, second = (shaken.added(shaken.without(b), train=False) for b in shaken.branches[::-1])
    assert float(abs(first - second).max()) > 0.5
    both = shaken.added(shaken.params, train=False)
    np.testing.assert_allclose(both, first + second, rtol=1e-4, atol=1e-5)
    again = {b: shaken.params[shaken.branches[0]] for b in shaken.branches}
    np.testing.assert_allclose(shaken.added(again, train=False), 2 * first, rtol=1e-4, atol=1e-5)


def mix(shaken, seed):
    """alpha of each example, from what the block adds with one branch that gives nothing.

    The last norm of the other one gives 1 everywhere.
    """
    ones = shaken.without("Branch_1")
    norm = {"scale": jnp.zeros(4), "bias": jnp.ones(4)}
    ones["Branch_0"] = {**ones["Branch_0"], "BatchNorm_1": norm}
    return np.asarray(shaken.added(ones, train=True, seed=seed))


def test_in_training_each_example_has_its_own_alpha(shaken):
    """alpha f + (1 - alpha) g, with an alpha from 0 to 1."""
    alpha = mix(shaken, seed=3)
    np.testing.assert_allclose(alpha, alpha[:, :1, :1, :1] * np.ones_like(alpha), atol=1e-5)
    alpha = alpha[:, :1, :1, :1]
    assert (alpha > -1e-5).all() and (alpha < 1 + 1e-5).all()
    assert len(np.unique(alpha.round(4))) > 12

    same = {b: shaken.params["Branch_0"] for b in shaken.branches}
    first = shaken.added(same, train=True, seed=3)
    same = {b: shaken.params["Branch_1"] for b in shaken.branches}
    second = shaken.added(same, train=True, seed=3)
    expected = alpha * first + (1 - alpha) * second
    np.testing.assert_allclose(
        shaken.added(shaken.params, train=True, seed=3), expected, rtol=1e-3, atol=1e-4
    )


def test_the_mix_is_even_on_average(shaken):
    drawn = np.concatenate([mix(shaken, seed)[:, 0, 0, 0] for seed in range(60)])
    np.testing.assert_allclose(np.sort(drawn), np.linspace(0, 1, len(drawn)), atol=0.06)


def test_the_mix_of_the_gradients_is_another(shaken):
    """The sum of an example's pixels has the gradient beta H W for a bias at the end of one branch,
    and (1 - beta) H W for that of the other."""

    @jax.jit
    def of_biases(params):
        def of_examples(biases):
            changed = {
                branch: {
                    **params[branch],
                    "BatchNorm_1": {**params[branch]["BatchNorm_1"], "bias": biases[branch]},
                }
                for branch in shaken.branches
            }
            out, _ = shaken.apply(changed, jax.random.key(3), True)
            return out.sum((1, 2))[:, 0]

        biases = {branch: params[branch]["BatchNorm_1"]["bias"] for branch in shaken.branches}
        return jax.jacrev(of_examples)(biases)

    made = of_biases(shaken.params)
    first, second = (np.asarray(made[branch])[:, 0] / (4 * 5) for branch in shaken.branches)
    assert (first > 0).all() and (first < 1).all()
    assert len(np.unique(first.round(4))) > 12
    np.testing.assert_allclose(first + second, 1, rtol=1e-5)
    alpha = mix(shaken, seed=3)[:, 0, 0, 0]
    assert abs(first - alpha).max() > 0.1
    assert abs(np.corrcoef(first, alpha)[0, 1]) < 0.7
    for channel in (1, 2, 3):
        assert not np.asarray(made["Branch_0"])[:, channel].any()


@pytest.mark.parametrize("stride", [1, 2])
def test_the_two_halves_of_a_shortcut_see_different_pixels(stride):
    """The second those one row up and one column left, which are zero at the edge."""
    x, layer = volumes(2, 5, 6, 4), Shortcut(width=5, stride=stride)
    variables = filled(layer, x, train=False)
    variables["params"]["BatchNorm_0"] = {"scale": np.ones(5), "bias": np.zeros(5)}
    kernels = [np.asarray(variables["params"][f"Conv_{i}"]["kernel"])[0, 0] for i in range(2)]
    assert [kernel.shape for kernel in kernels] == [(4, 2), (4, 3)]
    shifted = np.zeros_like(x)
    shifted[:, 1:, 1:] = x[:, :-1, :-1]
    parts = [
        pixels[:, ::stride, ::stride] @ kernel
        for pixels, kernel in zip((x, shifted), kernels, strict=True)
    ]
    expected = np.concatenate(parts, -1) / np.sqrt(1 + 1e-5)
    out = layer.apply(variables, x, train=False)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)

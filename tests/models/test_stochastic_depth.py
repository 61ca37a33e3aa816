"""Stochastic depth by its definition: branches are dropped per example, and the mean is kept."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models.stochastic_depth import StochasticDepth

BRANCH = np.random.default_rng(0).uniform(1, 2, (4000, 2, 3, 5)).astype(np.float32)


def trained(rate, seed=0, branch=BRANCH):
    rngs = {"dropout": jax.random.key(seed)}
    return np.asarray(StochasticDepth(rate).apply({}, branch, train=True, rngs=rngs))


@pytest.mark.parametrize("rate", [0.25, 0.9])
def test_an_example_s_branch_is_dropped_or_scaled_up(rate):
    out = trained(rate)
    kept = (out != 0).any((1, 2, 3))
    np.testing.assert_allclose(out[kept], BRANCH[kept] / (1 - rate), rtol=1e-6)
    assert not out[~kept].any()
    # Six standard deviations of a share of 4000.
    assert kept.mean() == pytest.approx(1 - rate, abs=6 * (rate * (1 - rate) / 4000) ** 0.5)
    assert out.mean() == pytest.approx(BRANCH.mean(), rel=6 * (rate / (1 - rate) / 4000) ** 0.5)


def test_each_key_draws_anew():
    first, again, other = (trained(0.5, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert 0.4 < ((first == 0) == (other == 0)).mean() < 0.6


def test_no_stream_is_needed_if_nothing_is_dropped():
    for rate, train in ((0.5, False), (0.0, True)):
        np.testing.assert_array_equal(StochasticDepth(rate).apply({}, BRANCH, train=train), BRANCH)


def test_half_precision_is_kept():
    branch = jnp.asarray(BRANCH[:4], jnp.bfloat16)
    assert trained(0.3, branch=branch).dtype == jnp.bfloat16


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_impossible_rates_are_named(rate):
    with pytest.raises(ValueError, match=r"^rate must"):
        StochasticDepth(rate)

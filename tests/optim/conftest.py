"""Fixtures: parameters of every kind, gradients for them, and a NumPy loop that applies a rule."""

from __future__ import annotations

import jax
import numpy as np
import pytest

SHAPES = {
    "whitening": {"bias": (6,)},
    "conv": {"kernel": (3, 3, 2, 5), "bias": (5,)},
    "norm": {"scale": (5,)},
    "head": {"kernel": (5, 3)},
}
STEPS = 6


def _draw(seed: int):
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: random.standard_normal(shape).astype(np.float32),
        SHAPES,
        is_leaf=lambda node: isinstance(node, tuple),
    )


@pytest.fixture
def params():
    return _draw(0)


@pytest.fixture
def gradients():
    """One tree per step."""
    return [_draw(step) for step in range(1, STEPS + 1)]


@pytest.fixture
def optax_run(params, gradients):
    """A function that returns the parameters after each step of an optimiser, by path."""

    def run(optimizer, factor, *, batch_size=32, total_steps=STEPS):
        tx = optimizer.build(factor, batch_size=batch_size, total_steps=total_steps)

        @jax.jit
        def step(params, state, gradient):
            updates, state = tx.update(gradient, state, params)
            return jax.tree.map(lambda p, u: p + u, params, updates), state

        now, state, after = params, tx.init(params), []
        for gradient in gradients:
            now, state = step(now, state, gradient)
            after.append(_by_path(now))
        return after

    return run


@pytest.fixture
def numpy_run(params, gradients):
    """A function that does the same with `rule(step, path, parameter, gradient, memory)`.

    The rule returns the new parameter; `memory` is a dict for the parameter's state.
    """

    def run(rule):
        now, after = _by_path(params), []
        memory = {path: {} for path in now}
        for step, tree in enumerate(gradients):
            gradient = _by_path(tree)
            now = {p: rule(step, p, now[p], gradient[p], memory[p]) for p in now}
            after.append(now)
        return after

    return run


@pytest.fixture
def agree():
    """A function that asserts that two runs have the same parameters after every step."""

    def check(mine, theirs, rtol=1e-5):
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            assert a.keys() == b.keys()
            for path in a:
                np.testing.assert_allclose(a[path], b[path], rtol=rtol, atol=1e-5, err_msg=path)

    return check


def _by_path(tree):
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        "/".join(entry.key for entry in path): np.asarray(leaf, np.float64) for path, leaf in leaves
    }

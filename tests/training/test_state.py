"""The state before the first step."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from cnn_jax.models import QuickNet
from cnn_jax.training import state
from cnn_jax.training.random_keys import streams


@pytest.fixture(scope="module")
def plan(plan_of):
    return plan_of(model=QuickNet(filters=8, widths=(4,)), ema=0.9, seed=3)


def test_the_first_state_is_that_of_the_seed_in_full_optimisation(plan, dataset):
    images = dataset.train.images
    optimised = {"xla_backend_optimization_level": 3}
    init = jax.jit(functools.partial(state.init_state, plan), compiler_options=optimised)
    expected = init(streams(3).init, images)
    jax.tree.map(
        lambda mine, theirs: np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-6),
        state.first_state(plan, images),
        expected,
    )


def test_the_first_images_alone_are_looked_at(monkeypatch, plan, dataset):
    def kernel(images):
        return state.first_state(plan, images).batch_stats["whitening"]["kernel"]

    monkeypatch.setattr(state, "INIT_IMAGES", 40)
    images = dataset.train.images.copy()
    before = kernel(images)
    images[40:] = 0
    np.testing.assert_array_equal(kernel(images), before)
    images[39] = 0
    assert (np.asarray(kernel(images)) != before).any()

"""The airbench recipes take the steps of the publication, which are stated for summed losses."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from planned import FACTS

from cnn_jax import config
from cnn_jax.experiment import Plan

WHITENING, BIAS, HEAD = "whitening", "bias", "head"


def plan_of(name) -> Plan:
    return Plan.of(config.load(name).experiment, FACTS)


def published_sgd(name, group, step):
    """Rate and decay of a step for the summed loss, as PyTorch's SGD takes them, or None where the
    parameter is not trained; facts of the publication."""
    if name == "cifar10_airbench94":
        total, rate = 200, {WHITENING: 0.053, BIAS: 0.053, HEAD: 0.67}[group]
        if group == WHITENING:
            total = 75
        return None if step >= total else (rate * (1 - step / total), 2e-6 * 2000 / rate)
    if name == "cifar10_fast":
        rate = {BIAS: 0.0573, HEAD: 0.5415}[group]
        return rate * (1 - step / 250), 1.0418e-6 * 1536 / rate
    epochs, peak, decay, rise, end = {
        "cifar10_airbench93": (11, 11.5, 0.0153, 0.23, 0.07),
        "cifar10_airbench96": (37, 9.0, 0.012, 0.10, 0.0),
    }[name]
    if group == WHITENING and step // 48 >= 3:
        return None
    total = 48 * epochs
    scale = 1024 * (1 + 1 / (1 - 0.85))
    rate = peak / scale * (64 if group == BIAS else 1)
    warmup = int(total * rise)
    if step < warmup:
        share = 0.2 + 0.8 * step / warmup
    else:
        share = 1 + (end - 1) * (step - warmup) / (total - warmup)
    return rate * share, decay * 1024 / scale / rate


# Steps, their size, and SGD's momentum.
RECIPES = {
    "cifar10_airbench93": (528, 1024, 0.85),
    "cifar10_airbench94": (200, 2000, 0.85),
    "cifar10_airbench96": (1776, 1024, 0.85),
    "cifar10_fast": (250, 1536, 0.825),
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_step_of_sgd_is_the_published_one(name):
    """Over the whole run, on one number of each group, with a gradient that changes sign."""
    made = plan_of(name)
    total_steps, batch_size, momentum = RECIPES[name]
    assert made.total_steps == total_steps
    assert made.experiment.batch_size == batch_size
    params = {
        "whitening": {"bias": np.ones(1, np.float32)},
        "norm": {"bias": np.ones(1, np.float32)},
        "head": {"kernel": np.ones((1, 1), np.float32)},
    }

    def gradient(step):
        return jnp.cos(step * 0.7) * 1e-2

    def advance(carry, step):
        params, state = carry
        mean = jax.tree.map(lambda p: gradient(step) * jnp.ones_like(p) / batch_size, params)
        updates, state = made.tx.update(mean, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        return (params, state), params

    came = jax.jit(
        lambda params: jax.lax.scan(
            advance, (params, made.tx.init(params)), jnp.arange(made.total_steps)
        )[1]
    )(params)

    for group, path in ((WHITENING, "whitening"), (BIAS, "norm"), (HEAD, "head")):
        if name == "cifar10_fast" and group == WHITENING:
            continue  # it has no such parameter
        p = slow = 1.0
        buffer, expected = 0.0, []
        for step in range(made.total_steps):
            published = published_sgd(name, group, step)
            if published:
                rate, decay = published
                g = math.cos(step * 0.7) * 1e-2 + decay * p
                buffer = momentum * buffer + g
                p -= rate * (g + momentum * buffer)
            taken = step + 1
            if batch_size == 1024:  # with lookahead
                if taken % 5 == 0:
                    share = 0.95**5 * (taken / made.total_steps) ** 3
                    p = slow = share * slow + (1 - share) * p
                if taken == made.total_steps:
                    p = slow
            expected.append(p)
        (mine,) = jax.tree.leaves(came[path])
        np.testing.assert_allclose(mine.reshape(-1), expected, rtol=1e-4, atol=1e-5)
        assert np.ptp(expected) > 1e-3


@pytest.mark.parametrize("name", RECIPES)
def test_published_settings(name):
    experiment = config.load(name).experiment
    assert experiment.data.validation == 0
    assert experiment.loss.label_smoothing == (0.09 if name == "cifar10_fast" else 0.2)
    assert experiment.tta == "mirror_translate"
    crop, *_ = experiment.augment
    assert (crop.padding, crop.fill) == (4 if name.endswith("96") else 2, "reflect")

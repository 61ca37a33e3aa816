"""Epochs as steps, and the learning rate of each step."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from planned import FACTS, plan

from cnn_jax.optim import SGD, Constant, Cosine, Linear, MultiStep, Muon


@pytest.mark.parametrize(
    ("train", "batch_size", "epochs", "per_epoch", "total"),
    [
        (50_000, 128, 200, 390, 78_000),  # 80 examples of each epoch are left over
        (50_000, 2000, 8, 25, 200),
        (50_000, 500, 4.5, 100, 450),
        (100, 10, 0.25, 10, 2),
        (100, 10, 0.26, 10, 3),
        (100, 10, 0.001, 10, 1),  # never no step at all
        (103, 10, 2, 10, 20),
        (7, 7, 3, 1, 3),
    ],
)
def test_epochs_become_steps(train, batch_size, epochs, per_epoch, total):
    facts = dataclasses.replace(FACTS, train=train)
    made = plan(facts, batch_size=batch_size, epochs=epochs)
    assert (made.steps_per_epoch, made.total_steps) == (per_epoch, total)


@pytest.mark.parametrize(
    ("train", "batch_size", "epochs", "per_epoch", "total", "partial", "examples"),
    [
        (50_000, 128, 2, 391, 782, 80, 100_000),
        (50_000, 128, 1.5, 391, 586, 80, 50_000 + 195 * 128),  # 586.5 steps: to the even number
        (50_000, 2000, 8, 25, 200, 0, 400_000),
        (100, 30, 0.5, 4, 2, 0, 60),  # the run ends before the epoch's last batch
        (100, 30, 1, 4, 4, 10, 100),
        (103, 51, 3, 3, 9, 1, 309),
        (7, 7, 3, 1, 3, 0, 21),
    ],
)
def test_epochs_of_all_images_become_steps(
    train, batch_size, epochs, per_epoch, total, partial, examples
):
    facts = dataclasses.replace(FACTS, train=train)
    made = plan(facts, batch_size=batch_size, epochs=epochs, drop_last=False)
    assert (made.steps_per_epoch, made.total_steps) == (per_epoch, total)
    assert (made.partial_batch, made.examples(total)) == (partial, examples)


def test_examples_of_steps_that_leave_out_the_last_batch():
    made = plan(batch_size=128, epochs=2)
    assert (made.partial_batch, made.examples_per_epoch) == (0, 49_920)
    assert [made.examples(step) for step in (0, 1, 390, 391, 780)] == [
        *(0, 128, 49_920),
        *(50_048, 99_840),
    ]


@pytest.mark.parametrize(
    ("fields", "rates"),
    [
        # 50,000 / 500 = 100 steps an epoch, 400 in all
        ({"schedule": Constant()}, {0: 0.4, 399: 0.4}),
        ({"schedule": Linear()}, {0: 0.4, 100: 0.3, 399: 0.001}),
        ({"schedule": Cosine()}, {0: 0.4, 200: 0.2}),
        ({"schedule": Linear(warmup=1)}, {0: 0.004, 49: 0.2, 99: 0.4, 100: 0.4, 250: 0.2}),
        ({"schedule": MultiStep()}, {199: 0.4, 200: 0.04, 300: 0.004}),
        ({"schedule": Constant(), "optimizer": SGD(peak_lr=0.1)}, {0: 0.1}),
    ],
)
def test_learning_rate_worked_out_by_hand(fields, rates):
    """0.1 per 125 examples at a batch of 500 is 0.4."""
    defaults = {"optimizer": SGD(peak_lr=0.1, per_batch=125), "batch_size": 500, "epochs": 4}
    made = plan(**(defaults | fields))
    got = [made.learning_rate(step) for step in rates]
    np.testing.assert_allclose(got, list(rates.values()), rtol=1e-5)


def test_another_batch_or_length_moves_everything_along():
    """Half the batch: half the rate, twice the steps, drops and warm-up at twice the step.

    A warm-up reaches a share at the end of a step: of step 1 where the other's is that of step 0.
    """
    fields = {
        "optimizer": SGD(peak_lr=0.1, per_batch=500),
        "schedule": MultiStep(warmup=1),
        "epochs": 4,
    }
    whole, half = plan(batch_size=500, **fields), plan(batch_size=250, **fields)
    assert (whole.total_steps, half.total_steps) == (400, 800)
    for step in (10, 99, 100, 249, 250, 324, 325, 399):
        same = 2 * step + (step < 100)
        assert half.learning_rate(same) == pytest.approx(whole.learning_rate(step) / 2)


def test_the_rate_that_is_reported_is_the_rate_that_is_taken():
    made = plan(
        optimizer=SGD(peak_lr=0.1, per_batch=125, momentum=0.0),
        schedule=Cosine(warmup=1),
        batch_size=10_000,
        epochs=3,
    )
    params = jnp.float32(0)
    state, update = made.tx.init(params), jax.jit(made.tx.update)
    for step in range(made.total_steps):
        change, state = update(jnp.float32(1), state, params)
        assert float(change) == pytest.approx(-made.learning_rate(step), rel=1e-5, abs=1e-7)


def test_muon_rests_the_whitening_bias_at_its_fraction_of_the_run():
    made = plan(optimizer=Muon(whitening_until=0.5), batch_size=5000, epochs=1)
    params = {"whitening": {"bias": jnp.ones(2)}}
    state, update, moves = made.tx.init(params), jax.jit(made.tx.update), []
    for _ in range(made.total_steps):
        change, state = update(params, state, params)
        moves.append(float(abs(change["whitening"]["bias"]).max()))
    assert min(moves[:5]) > 1
    assert max(moves[5:]) < 1e-3

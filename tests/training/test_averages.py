"""Averages of the weights: what they are, and that evaluation sees them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from optax import contrib
from rich.console import Console
from same_run import bits

from cnn_jax.data import Shapes
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP
from cnn_jax.optim import SGD, Constant, Lookahead, LookaheadSGD, ScheduleFreeAdamW, ScheduleFreeSGD
from cnn_jax.runs import restore
from cnn_jax.runs.checkpoint import Checkpoints
from cnn_jax.runs.workdir import Run
from cnn_jax.train import train
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.metric_sums import Sums
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import first_state
from cnn_jax.training.step import train_step

QUIET = Console(quiet=True)
STEPS = 5
DECAY = 0.3


@pytest.fixture(scope="module")
def start(plan_of, dataset):
    """A function: the state before the first step of a net with BatchNorm, with its average."""
    return lambda: first_state(plan_of(ema=DECAY), dataset.train.images)


def states(plan, dataset, state):
    """Copies of the state and of those after it: each is donated to the step that follows."""
    advance = jax.jit(functools.partial(train_step, plan), donate_argnums=0)
    keys, data, came = streams(0), Resident.of(dataset.train), []
    for step in range(STEPS):
        order = epoch_order(keys.order, step // plan.steps_per_epoch, len(dataset.train))
        came.append(jax.tree.map(jnp.copy, state))
        state, _ = advance(state, data, order, keys)
    return [*came, state]


@pytest.fixture(scope="module")
def came(plan_of, dataset, start):
    return states(plan_of(ema=DECAY), dataset, start())


def test_the_average_follows_parameters_and_statistics(came):
    """Five steps in NumPy: shares kept of 1/10, 2/11 and 3/12, and then the decay of .3."""
    expected = jax.tree.map(lambda x: np.asarray(x, np.float64), raw(came[0]))
    assert bits(came[0].ema) == bits(raw(came[0]))
    for state, kept in zip(came[1:], (1 / 10, 2 / 11, 3 / 12, 0.3, 0.3), strict=True):
        expected = jax.tree.map(
            lambda e, x, kept=kept: kept * e + (1 - kept) * np.asarray(x, np.float64),
            expected,
            raw(state),
        )
        assert jax.tree.structure(state.ema) == jax.tree.structure(expected)
        for mine, theirs in zip(jax.tree.leaves(state.ema), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
        assert state.variables is state.ema


def test_the_average_changes_nothing_of_the_training(plan_of, dataset, start, came):
    without = states(plan_of(), dataset, start().replace(ema=None))[-1]
    assert without.ema is None
    assert bits(without.variables) == bits(raw(without))
    for mine, theirs in zip(
        jax.tree.leaves(came[-1].replace(ema=None)), jax.tree.leaves(without), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def raw(state):
    return {"params": state.params, "batch_stats": state.batch_stats}


def at_x(state):
    params = contrib.schedule_free_eval_params(state.opt_state, state.params)
    return {"params": params, "batch_stats": state.batch_stats}


@pytest.mark.parametrize(
    ("fields", "evaluated"),
    [
        ({"ema": 0.9, "keep_best": True}, lambda state: state.ema),
        ({"optimizer": ScheduleFreeSGD(peak_lr=0.05), "schedule": Constant()}, at_x),
    ],
    ids=["ema", "schedule-free"],
)
def test_validation_and_test_see_the_average(tmp_path, fields, evaluated):
    experiment = Experiment(
        **{
            "data": Shapes(train=200, validation=40, test=40),
            "model": MLP(hidden=(8,)),
            "optimizer": SGD(peak_lr=0.02),
            "batch_size": 32,
            "epochs": 2,
            **fields,
        }
    )
    result = train(experiment, tmp_path, console=QUIET)
    _, state = restore(tmp_path)
    assert bits(state) == bits(result.state)
    data = experiment.data.load()
    losses = {row["split"]: row["loss"] for row in Run(tmp_path).metrics.rows()}
    rows = [row for row in Run(tmp_path).metrics.rows() if row["split"] == "validation"]
    seen = next(row["loss"] for row in rows if row["step"] == int(state.step))
    for split, loss in ((data.validation, seen), (data.test, losses["test"])):
        score = Evaluator(result.plan, raw(state), split)
        assert score(evaluated(state)).loss == pytest.approx(loss, rel=1e-6)
        assert score(raw(state)).loss != pytest.approx(loss, rel=1e-4)


@struct.dataclass
class Before:
    """The state as it was before there were averages."""

    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any
    metrics: Sums


def test_a_checkpoint_from_before_there_were_averages_is_restored(tmp_path, start):
    average = start()
    now = average.replace(ema=None)
    before = Before(
        **{field.name: getattr(now, field.name) for field in dataclasses.fields(Before)}
    )
    for step, saved in enumerate((before, now, average), 1):
        checkpoints = Checkpoints(tmp_path / str(step))
        checkpoints.save(step, saved, {})
        checkpoints.wait()
        restored, _ = checkpoints.restore(step, average if saved is average else now)
        checkpoints.close()
        assert type(restored) is type(now)
        assert bits(restored) == bits(saved)


@pytest.mark.parametrize("optimizer", [ScheduleFreeSGD(), ScheduleFreeAdamW()])
def test_two_averages_are_refused(plan_of, optimizer):
    plan_of(optimizer=optimizer)
    name = type(optimizer).__name__
    with pytest.raises(UserError, match=f"^ema must be 0 with {name}"):
        plan_of(optimizer=optimizer, ema=0.9)


class Halved(nn.Module):
    """Parameters of half precision, and a counter among the statistics."""

    @nn.compact
    def __call__(self, image, *, train):
        steps = self.variable("batch_stats", "steps", jnp.zeros, (), jnp.int32)
        if train:
            steps.value += 1
        return nn.Dense(10, param_dtype=jnp.bfloat16)(image.mean(axis=(1, 2)))


@pytest.mark.parametrize(
    "fields", [{"ema": DECAY}, {"lookahead": Lookahead(2)}, {"optimizer": LookaheadSGD(interval=2)}]
)
def test_averages_of_half_precision_are_whole_and_counters_go_on(plan_of, dataset, fields):
    plan = plan_of(model=Halved(), **fields)
    last = states(plan, dataset, first_state(plan, dataset.train.images))[-1]
    assert last.params["Dense_0"]["kernel"].dtype == jnp.bfloat16
    assert int(last.batch_stats["steps"]) == STEPS
    if "ema" in fields:
        average = last.ema["params"]
        assert int(last.ema["batch_stats"]["steps"]) == STEPS
    else:
        average = last.opt_state.slow
    assert average["Dense_0"]["kernel"].dtype == jnp.float32

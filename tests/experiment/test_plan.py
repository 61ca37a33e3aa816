"""How a plan completes an experiment."""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from planned import FACTS, plan

from cnn_jax import config, models
from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.data.resident import Resident
from cnn_jax.errors import UserError
from cnn_jax.experiment import Plan
from cnn_jax.losses import Softmax
from cnn_jax.optim import (
    SGD,
    Adam,
    Constant,
    Linear,
    Lookahead,
    LookaheadSGD,
    ScheduleFreeSGD,
)
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import state_shapes
from cnn_jax.training.step import train_step


def test_what_the_data_decides_is_filled_in():
    made = plan()
    assert made.model == models.LeNet(num_classes=10)
    assert made.normalize == Normalize(FACTS.mean, FACTS.std)
    assert made.experiment.model == models.LeNet()  # and not in what the recipe states
    facts = dataclasses.replace(FACTS, classes=("cat", "dog"))
    assert plan(facts).model.num_classes == 2
    assert plan(normalize=Normalize(mean=(0.1, 0.1, 0.1))).normalize.mean == (0.1, 0.1, 0.1)
    assert plan(model=models.LeNet(num_classes=10)).model.num_classes == 10


def test_a_model_of_one_s_own_needs_no_number_of_classes():
    class Mine(nn.Module):
        @nn.compact
        def __call__(self, image, *, train):
            return nn.Dense(10)(image.mean(axis=(1, 2)))

    assert plan(model=Mine()).model == Mine()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 50_001}, "batch_size must be at most the 50000 training examples"),
        ({"keep_best": True}, "keep_best needs validation images"),
        ({"select_by": "balanced_accuracy"}, "select_by needs keep_best or patience"),
        (
            {"sampling": "balanced", "loss": Softmax(class_weights="balanced")},
            "sampling must be uniform with loss.class_weights",
        ),
        ({"loss": Softmax(class_weights="balanced")}, "loss.class_weights needs the number of"),
        ({"model": models.LeNet(num_classes=7)}, "model.num_classes must be the 10 of cifar10"),
        ({"schedule": Linear(warmup=10)}, "schedule.warmup must be shorter"),
        ({"normalize": Normalize(mean=(0.5,))}, "normalize.mean must have 3 values"),
        ({"optimizer": ScheduleFreeSGD(), "ema": 0.9}, "ema must be 0 with ScheduleFreeSGD"),
        (
            {"lookahead": Lookahead(interval=101), "epochs": 0.25},
            "lookahead.interval must be at most",
        ),
        (
            {"optimizer": LookaheadSGD(interval=101), "epochs": 0.25},
            "optimizer.interval must be at most",
        ),
        (
            {"optimizer": LookaheadSGD(), "lookahead": Lookahead()},
            "lookahead must be None with LookaheadSGD",
        ),
        (
            {"optimizer": ScheduleFreeSGD(), "lookahead": Lookahead()},
            "lookahead must be None with ScheduleFreeSGD",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_one_line_that_names_the_field(fields, message):
    with pytest.raises(UserError, match=f"^{message}") as error:
        plan(**fields)
    assert "\n" not in str(error.value)


def test_the_state_is_told_in_shapes_or_why_it_can_not_be():
    state = state_shapes(plan(optimizer=Adam()))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == 62_006
    assert state.step.shape == ()
    small = dataclasses.replace(FACTS, image_shape=(8, 8, 3))
    with pytest.raises(UserError, match=r"^model LeNet.* can't take images of 8x8x3: "):
        state_shapes(plan(small))


def test_a_plan_s_optimizer_looks_ahead_where_asked():
    """Gradient -1 at a rate of 1 on every parameter: 1, then half of the way to 2."""
    made = plan(
        optimizer=SGD(peak_lr=1.0, momentum=0.0),
        schedule=Constant(),
        lookahead=Lookahead(interval=2, slow_step=0.5),
    )
    params = {"kernel": jnp.zeros((2, 3))}
    state = made.tx.init(params)
    for expected in (1, 1, 2, 2):
        updates, state = made.tx.update({"kernel": -jnp.ones((2, 3))}, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        np.testing.assert_array_equal(params["kernel"], np.full((2, 3), expected))


@pytest.mark.parametrize("name", config.recipes())
def test_every_recipe_makes_a_step(name):
    """In shapes: from the state to a state of the same shapes, whatever its model and optimiser."""
    # With stock convolutions a step is traced faster.
    experiment = dataclasses.replace(config.load(name).experiment, convolutions="stock")
    image_shape = getattr(experiment.model, "published_on", models.LeNet.published_on).image_shape
    facts = dataclasses.replace(FACTS, image_shape=image_shape, train=45_000, validation=5000)
    made = Plan.of(experiment, facts)
    state = state_shapes(made)
    data = Resident(
        jax.ShapeDtypeStruct((45_000, *image_shape), jnp.uint8),
        jax.ShapeDtypeStruct((45_000,), jnp.int32),
    )
    after, metrics = jax.eval_shape(
        functools.partial(train_step, made),
        state,
        data,
        jax.ShapeDtypeStruct((45_000,), jnp.int32),
        jax.eval_shape(lambda: streams(0)),
    )
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for mine, theirs in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
    assert metrics.loss.shape == ()

"""A step with `remat=True` keeps less for the backward pass, and computes the same."""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import config
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import UserError
from cnn_jax.models import (
    ConvNet,
    DenseNet,
    ResNet,
    SEResNet,
    layers,
)
from cnn_jax.optim import SGD, Accumulate, Constant
from cnn_jax.runtime.parallel import parallel
from cnn_jax.training.random_keys import streams
from cnn_jax.training.rematerialisation import rematerialised
from cnn_jax.training.state import state_shapes
from cnn_jax.training.step import scores, train_step

# Of the volumes whose memory is counted.
IMAGES, SIDE, WIDTH = 16, 16, 6


class Unit(nn.Module):
    """A block with a parameter of its own and dropout; `train` has no name in its calls."""

    width: int
    dropout: float

    def setup(self):
        self.first, self.second = (nn.Conv(self.width, (3, 3)) for _ in range(2))
        self.norm, self.drop = nn.BatchNorm(momentum=0.5), nn.Dropout(self.dropout)
        self.gain = self.param("scale", nn.initializers.ones, ())

    def __call__(self, x, train, gate=None):
        y = nn.relu(self.norm(self.first(x), use_running_average=not train))
        y = self.second(self.drop(y, deterministic=not train))
        return nn.tanh(x + self.gain * (y if gate is None else gate(y)))


class Trunk(nn.Module):
    """Blocks, and a layer that they share."""

    blocks: int
    dropout: float

    @nn.compact
    def __call__(self, x, train):
        gate = nn.Conv(WIDTH, (1, 1))
        for _ in range(self.blocks):
            x = Unit(WIDTH, self.dropout)(x, train, gate=gate)
        return x


class Nested(nn.Module):
    """A net whose blocks are inside another module."""

    blocks: int = 2
    dropout: float = 0.5
    num_classes: int | None = None

    @nn.compact
    def __call__(self, image, *, train):
        x = Trunk(self.blocks, self.dropout)(nn.Conv(WIDTH, (3, 3))(image), train)
        return layers.scores(self.num_classes)(x.mean(axis=(1, 2)))


EXPERIMENTS = {
    "custom": {"model": Nested(1), "gradient": Accumulate(2)},
    "fast": {"model": DenseNet(blocks=(1,), growth=4), "convolutions": "fast"},
}


def both(plan_of, **fields):
    """The plans of an experiment without and with rematerialisation."""
    usual = {
        "model": Nested(),
        "optimizer": SGD(peak_lr=1.0, momentum=0),
        "schedule": Constant(),
        "convolutions": "stock",  # they compile faster
    }
    return [plan_of(**(usual | fields), remat=remat) for remat in (False, True)]


def step(plan, dataset, state, devices=None):
    """The state after the first step, on one device or several."""
    keys, data = streams(0), Resident.of(dataset.train)
    order = epoch_order(keys.order, 0, len(dataset.train))
    if devices is None:
        return jax.jit(functools.partial(train_step, plan))(state, data, order, keys)[0]
    arguments = [devices.place(part) for part in (state, data, order, keys)]
    program = devices.lower(functools.partial(train_step, plan), *arguments).compile()
    return devices.fetch(program(*arguments)[0])


def assert_same(mine, theirs, tolerance):
    for part in ("params", "batch_stats", "metrics"):
        found, expected = (getattr(state, part) for state in (mine, theirs))
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance),
            found,
            expected,
        )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_step_computes_the_same(plan_of, dataset, state_of, name):
    """Parameters move by the gradient, which depends on the dropout masks."""
    kept, recomputed = both(plan_of, **EXPERIMENTS[name])
    state = state_of(kept)
    assert jax.tree.structure(state_shapes(recomputed)) == jax.tree.structure(state)
    after = step(kept, dataset, state)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), after.params, state.params)
    assert max(jax.tree.leaves(moved)) > 0.05
    assert_same(step(recomputed, dataset, state), after, 2e-6)


def test_devices_share_the_statistics_of_a_block(plan_of, dataset, state_of, devices):
    devices(2)
    kept, recomputed = both(plan_of, model=Nested(blocks=1, dropout=0.0))
    state = state_of(kept)
    after = step(kept, dataset, state)
    for kind in ("jit", "pmap"):
        assert_same(step(recomputed, dataset, state, parallel(kind, 16)), after, 2e-5)


def kept_bytes(plan) -> int:
    """Bytes that the forward pass of a batch keeps for the backward pass."""
    state = state_shapes(plan)
    image = jax.ShapeDtypeStruct((IMAGES, SIDE, SIDE, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))

    def pullback(params, batch_stats, image, key):
        def forward(params):
            variables = {"params": params, "batch_stats": batch_stats}
            options = {"train": True, "rngs": {"dropout": key}, "mutable": ["batch_stats"]}
            return scores(plan, variables, image, **options)

        with rematerialised(plan.model, plan.experiment.remat):
            return jax.vjp(forward, params, has_aux=True)[1]

    kept = jax.eval_shape(pullback, state.params, state.batch_stats, image, key)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))


@pytest.mark.parametrize(
    "model",
    [ResNet(depth=8, width=4), SEResNet(blocks=(1,), width=8)],
    ids=lambda model: type(model).__name__,
)
def test_the_backward_pass_keeps_less(plan_of, model):
    kept, recomputed = map(kept_bytes, both(plan_of, model=model))
    assert recomputed < kept / 2


def test_each_block_keeps_its_input_and_no_more(plan_of):
    """A block is found inside another module, which is not recomputed as a whole."""
    two, three = (kept_bytes(both(plan_of, model=Nested(blocks))[1]) for blocks in (2, 3))
    volume = 4 * IMAGES * SIDE**2 * WIDTH
    assert volume <= three - two < 1.5 * volume


def test_a_net_without_blocks_is_an_error(plan_of, dataset, state_of):
    plan = both(plan_of, model=ConvNet(widths=(4,), hidden=8))[1]
    with pytest.raises(UserError, match=r"remat=True .* ConvNet has none"):
        jax.eval_shape(functools.partial(step, plan, dataset), state_shapes(plan))


def test_configs_from_before_the_field_have_the_same_text(plan_of):
    kept, recomputed = (plan.experiment for plan in both(plan_of))
    assert config.to_text(recomputed).replace(", remat=True", "") == config.to_text(kept)
    assert dataclasses.replace(recomputed, remat=False) == kept

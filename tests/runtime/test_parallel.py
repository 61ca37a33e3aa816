from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import UserError
from cnn_jax.optim import SGD, Constant
from cnn_jax.runtime.parallel import parallel
from cnn_jax.training.random_keys import streams
from cnn_jax.training.step import train_step

STEPS = 6  # an epoch and a half


@pytest.fixture(scope="module")
def plan(plan_of):
    return plan_of(
        augment=(RandomCrop(1), Flip()),
        optimizer=SGD(peak_lr=0.05, weight_decay=1e-3),
        schedule=Constant(),
    )


@pytest.fixture(scope="module")
def start(plan, state_of):
    return state_of(plan)


@pytest.fixture(scope="module")
def runs():
    """States and metrics by kind and number of devices, as they are computed."""
    return {}


@pytest.fixture
def run(plan, start, dataset, devices, runs):
    """A function: the last state and each step's metrics, by kind and number of devices."""

    def take(kind: str, count: int):
        if (kind, count) in runs:
            return runs[kind, count]
        devices(count)
        layout, keys = parallel(kind, plan.experiment.batch_size), streams(0)
        data, placed, state = (layout.place(t) for t in (Resident.of(dataset.train), keys, start))
        orders = [
            layout.place(epoch_order(keys.order, epoch, len(dataset.train))) for epoch in range(2)
        ]
        step = functools.partial(train_step, plan)
        advance = layout.lower(step, state, data, orders[0], placed).compile()
        metrics = []
        for step in range(STEPS):
            before = state
            state, sums = advance(state, data, orders[step // plan.steps_per_epoch], placed)
            metrics.append(sums)
            jax.block_until_ready(state)
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before.params))
        # Read at the end: they have outlived the states that they are copies of.
        kept = [jax.device_get(layout.fetch(sums)) for sums in metrics]
        runs[kind, count] = jax.device_get(layout.fetch(state)), kept, state
        return runs[kind, count]

    return take


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_four_devices_come_to_the_same_as_one(run, kind):
    """Parameters, running statistics, momentum and metrics, with augmentation and BatchNorm."""
    (state, metrics, _), (expected, expected_metrics, _) = run(kind, 4), run("jit", 1)
    for mine, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-5)
    for mine, theirs in zip(metrics, expected_metrics, strict=True):
        assert (mine.count, mine.correct) == (theirs.count, theirs.correct)
        np.testing.assert_allclose(mine.loss, theirs.loss, rtol=1e-5)


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_returned_metrics_outlive_the_state(run, kind):
    _, metrics, _ = run(kind, 4)
    assert [int(sums.count) for sums in metrics] == [16, 32, 48, 64, 16, 32]
    assert len({float(sums.loss) for sums in metrics}) == STEPS


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_every_device_holds_the_same(run, kind):
    _, _, placed = run(kind, 4)
    for leaf in jax.tree.leaves(placed):
        parts = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(parts) == 4
        for part in parts[1:]:
            np.testing.assert_array_equal(part, parts[0])


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_placing_and_fetching_gives_back_the_same(devices, start, kind):
    devices(4)
    layout = parallel(kind, 16)
    placed = layout.place(start)
    for mine, theirs in zip(
        jax.tree.leaves(layout.fetch(placed)), jax.tree.leaves(start), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    shapes = layout.shapes(start)
    for mine, theirs in zip(jax.tree.leaves(shapes), jax.tree.leaves(placed), strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_devices_that_differ_agree_on_the_first_after_a_whole_batch(devices, kind):
    """As after a kernel that is not deterministic: the state is 0 on the first, 1 on the second."""
    devices(4)
    layout = parallel(kind, 16)
    state = {"weight": np.float32([2, 3]), "finite": np.array(True), "count": np.int32(7)}
    placed = layout.place(state)

    def differing(x):
        parts = [
            jax.device_put(shard.data if n == 0 else jnp.zeros_like(shard.data), shard.device)
            for n, shard in enumerate(x.addressable_shards)
        ]
        return jax.make_array_from_single_device_arrays(x.shape, x.sharding, parts)

    def step(state, *, split, total):
        return {**state, "count": total(split(state["count"]) + 1)}

    after = layout.lower(step, placed, whole=True).compile()(jax.tree.map(differing, placed))
    for name, expected in (state | {"count": 8}).items():
        for shard in after[name].addressable_shards:
            assert shard.data.dtype == placed[name].dtype
            np.testing.assert_array_equal(shard.data.reshape(np.shape(expected)), expected)


def test_row_20_a_batch_that_does_not_divide_is_refused(devices):
    devices(4)
    with pytest.raises(UserError, match=r"^batch_size must be a multiple of the 4 devices, got 18"):
        parallel("jit", 18)
    devices(3)
    parallel("pmap", 18)


class OwnNet(nn.Module):
    """A net that knows nothing of devices: Flax's own BatchNorm."""

    @nn.compact
    def __call__(self, image, *, train):
        x = nn.BatchNorm(not train)(nn.Conv(4, (3, 3))(image))
        return nn.Dense(10)(nn.relu(x).mean(axis=(1, 2)))


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_a_batch_norm_of_one_s_own_sees_the_whole_batch(plan_of, state_of, dataset, devices, kind):
    plan, states = plan_of(model=OwnNet()), []
    for layout, count in (("jit", 1), (kind, 4)):
        devices(count)
        layout = parallel(layout, 16)
        arguments = [
            layout.place(tree)
            for tree in (
                state_of(plan),
                Resident.of(dataset.train),
                np.arange(70, dtype=np.int32),
                streams(0),
            )
        ]
        step = layout.lower(functools.partial(train_step, plan), *arguments).compile()
        states.append(jax.device_get(layout.fetch(step(*arguments)[0])))
    for mine, theirs in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)

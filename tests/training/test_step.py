from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
import onednn_library
import pytest

from cnn_jax.augment import Augmentation, Flip, RandomCrop
from cnn_jax.data import Dataset, Split
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.experiment import Plan
from cnn_jax.losses import MulticlassHinge
from cnn_jax.models import MLP, ConvNet, QuickNet
from cnn_jax.native import library
from cnn_jax.optim import SGD, Adam, Constant, Muon
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import first_state
from cnn_jax.training.step import eval_step, train_step

RATE = 0.05


def steps(plan, data: Dataset, state, last: int, *, advance=None, seed=0):
    """Takes the steps up to number `last`; returns the state and the metrics after each."""
    advance = advance or jax.jit(functools.partial(train_step, plan))
    keys, resident, came = streams(seed), Resident.of(data.train), []
    for step in range(int(state.step), last):
        order = epoch_order(keys.order, step // plan.steps_per_epoch, len(data.train))
        state, metrics = advance(state, resident, order, keys)
        came.append((state, metrics))
    return came


def with_fields(plan: Plan, **fields) -> Plan:
    return dataclasses.replace(plan, experiment=dataclasses.replace(plan.experiment, **fields))


def assert_close(mine, theirs, **tolerance):
    assert jax.tree.structure(mine) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def differ(mine, theirs) -> bool:
    pairs = zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True)
    return any((np.asarray(a) != np.asarray(b)).any() for a, b in pairs)


@pytest.fixture(scope="module")
def plan(plan_of):
    """4 steps an epoch of a net with BatchNorm, augmented."""
    return plan_of(
        augment=(RandomCrop(1), Flip()), optimizer=SGD(peak_lr=RATE), schedule=Constant()
    )


@pytest.fixture(scope="module")
def start(plan, state_of):
    return state_of(plan)


@pytest.fixture(scope="module")
def advance(plan):
    return jax.jit(functools.partial(train_step, plan))


@pytest.fixture(scope="module")
def came(plan, dataset, start, advance):
    """The states and metrics of 9 steps: two epochs and one step."""
    return steps(plan, dataset, start, 9, advance=advance)


def test_a_small_net_learns_32_images_by_heart(plan_of, dataset, state_of):
    labels = np.arange(32, dtype=np.int32) % 10
    few = dataclasses.replace(dataset, train=Split(dataset.train.images[:32], labels))
    made = plan_of(
        model=ConvNet(widths=(16,), hidden=32),
        optimizer=Adam(peak_lr=3e-3),
        schedule=Constant(),
        batch_size=32,
    )
    made = dataclasses.replace(made, steps_per_epoch=1)
    came = steps(made, few, state_of(made), 60)
    before, after = (came[i][1].means() for i in (0, -1))
    assert before["accuracy"] < 0.4
    assert before["loss"] == pytest.approx(np.log(10), rel=0.3)
    assert after["accuracy"] == 1
    assert after["loss"] < 0.1


def test_gradient_of_the_step_by_finite_differences(plan, dataset, start, advance):
    """The first step moves the parameters by -rate times the gradient of the mean loss, and
    reports the sum of the losses at the parameters that it started from."""

    def take(params):
        moved = start.replace(params=params)
        ((after, metrics),) = steps(plan, dataset, moved, 1, advance=advance)
        return after.params, float(metrics.loss) / 16

    def loss_at(distance, direction):
        far = jax.tree.map(lambda p, d: p + np.float32(distance) * d, start.params, direction)
        return take(far)[1]

    def slopes(direction):
        products = jax.tree.map(lambda g, d: float((g * d).sum()), gradient, direction)
        found = (loss_at(0.01, direction) - loss_at(-0.01, direction)) / 0.02
        return sum(jax.tree.leaves(products)), found

    gradient = jax.tree.map(lambda p, q: (p - q) / RATE, start.params, take(start.params)[0])
    random = np.random.default_rng(0)
    noise = jax.tree.map(lambda g: random.standard_normal(g.shape).astype(np.float32), gradient)
    for direction in (unit(gradient), unit(noise)):
        slope, found = slopes(direction)
        assert found == pytest.approx(slope, rel=0.01, abs=2e-3)


def unit(tree):
    norm = np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))
    return jax.tree.map(lambda leaf: leaf / norm, tree)


def test_metrics_are_sums_over_the_epoch_so_far(came):
    counts = [int(metrics.count) for _, metrics in came]
    assert counts == [16, 32, 48, 64, 16, 32, 48, 64, 16]
    losses = [float(metrics.loss) for _, metrics in came]
    assert losses[:4] == sorted(losses[:4])
    assert losses[4] < losses[3] / 2
    for state, metrics in came:
        assert_close(metrics, state.metrics)
        assert 0 <= int(metrics.correct) <= int(metrics.count)


def test_metrics_are_those_of_the_batch_before_the_step(linear, dataset, state_of):
    """Against the hinge of the same examples, worked out in NumPy."""
    made, state = with_fields(linear, augment=()), state_of(linear)
    ((_, metrics),) = steps(made, dataset, state, 1, advance=functools.partial(train_step, made))
    index = np.asarray(epoch_order(streams(0).order, 0, 70))[:16]
    pixels = (dataset.train.images[index] / 255 - dataset.mean) / dataset.std
    scores = pixels.reshape(16, -1) @ state.params["Dense_0"]["kernel"]
    label = dataset.train.labels[index]
    violations = np.maximum(0, scores - scores[np.arange(16), label][:, None] + 1)
    assert float(metrics.loss) == pytest.approx(violations.sum() - 16, rel=1e-4)
    assert int(metrics.correct) == (scores.argmax(1) == label).sum()


class Recorder(Augmentation):
    """Notes what it is given; for steps that are not compiled."""

    def __init__(self):
        object.__setattr__(self, "seen", [])

    def __call__(self, key, batch):
        self.seen.append((np.asarray(batch.index), int(batch.epoch), jax.random.key_data(key)))
        return batch


@pytest.fixture
def linear(plan_of):
    """A linear classifier, small enough for steps that are not compiled."""
    return plan_of(
        model=MLP(hidden=()), loss=MulticlassHinge(), optimizer=SGD(peak_lr=0.01), augment=(Flip(),)
    )


def test_the_compiled_step_is_the_step(linear, dataset, state_of):
    (compiled, metrics), (eager, eager_metrics) = (
        steps(linear, dataset, state_of(linear), 6, advance=advance)[-1]
        for advance in (None, functools.partial(train_step, linear))
    )
    assert_close(compiled, eager, rtol=1e-4, atol=1e-6)
    assert_close(metrics, eager_metrics, rtol=1e-5)


def test_an_epoch_sees_each_example_at_most_once_and_no_key_twice(linear, dataset, state_of):
    recorders = Recorder(), Recorder()
    made = with_fields(linear, augment=recorders)
    steps(made, dataset, state_of(made), 8, advance=functools.partial(train_step, made))
    first, second = (recorder.seen for recorder in recorders)
    assert [epoch for _, epoch, _ in first] == [0, 0, 0, 0, 1, 1, 1, 1]
    epochs = [np.concatenate([index for index, _, _ in first[i : i + 4]]) for i in (0, 4)]
    for index in epochs:
        assert len(set(index.tolist())) == len(index) == 64
        assert 0 <= index.min() <= index.max() < 70
    assert (epochs[0] != epochs[1]).any()
    keys = {tuple(np.asarray(key).tolist()) for _, _, key in first + second}
    assert len(keys) == 16


def test_every_step_counts_and_moves_what_it_should(came, start):
    before = start
    for number, (state, _) in enumerate(came, 1):
        assert int(state.step) == number
        assert differ(state.params, before.params)
        assert differ(state.batch_stats, before.batch_stats)
        before = state


def test_randomness_is_the_seeds(plan, dataset, start, advance, came):
    again = steps(plan, dataset, start, 2, advance=advance)[-1]
    assert not differ(again, came[1])
    other = steps(plan, dataset, start, 2, advance=advance, seed=1)[-1]
    assert differ(other[0].params, came[1][0].params)


def test_a_step_from_a_kept_state_is_the_step_of_the_whole_run(plan, dataset, advance, came):
    resumed = steps(plan, dataset, came[5][0], 9, advance=advance)
    assert not differ(resumed[-1], came[-1])


@pytest.mark.parametrize("convolutions", ["fast", "onednn", "stock"])
def test_convolutions_are_those_that_the_experiment_asks_for(plan, dataset, start, convolutions):
    if convolutions == "onednn":
        onednn_library.needed()
    made = with_fields(plan, convolutions=convolutions)
    data, keys = Resident.of(dataset.train), streams(0)
    trace = jax.make_jaxpr(functools.partial(train_step, made))
    program = str(trace(start, data, np.arange(70), keys))
    stock = "select_and_scatter" in program, "platform_index" not in program
    assert stock == (convolutions == "stock",) * 2
    in_cpp = [library.CONVOLVE, library.MOMENTS, library.NORM_GRADIENTS]
    if convolutions == "onednn" and not library.load().CnnJaxHasAvx512():
        in_cpp = in_cpp[:1]
    assert [name for name in in_cpp if name in program] == in_cpp * (convolutions == "onednn")


def test_whitening_filters_are_the_data_s_and_stay(plan_of, dataset):
    made = plan_of(
        model=QuickNet(filters=8, widths=(4,)), optimizer=Muon(whitening_until=0.9), epochs=1
    )
    state, other = (
        first_state(with_fields(made, seed=seed), dataset.train.images) for seed in (0, 1)
    )
    assert not differ(state.batch_stats, other.batch_stats)
    assert differ(state.params, other.params)
    kernel = state.batch_stats["whitening"]["kernel"]
    pixels = (dataset.train.images / 255 - dataset.mean) / dataset.std
    patches = np.concatenate(
        [pixels[:, r : r + 4, c : c + 4].reshape(70, -1) for r in (0, 2, 4) for c in (0, 2, 4)]
    )
    seen = patches @ np.asarray(kernel)[..., :4].reshape(48, 4)
    np.testing.assert_allclose(seen.T @ seen / len(seen), np.eye(4), atol=0.01)
    after = steps(made, dataset, state, 2)[-1][0]
    np.testing.assert_array_equal(after.batch_stats["whitening"]["kernel"], kernel)
    assert differ(after.params["whitening"], state.params["whitening"])


def test_evaluation_masks_padding_and_uses_running_statistics(plan, dataset, came):
    """Of examples 30 to 39 there are seven, and the others with them change no score."""
    score = jax.jit(functools.partial(eval_step, plan))
    data, variables = Resident.of(dataset.test), came[-1][0].variables
    sums, scores = score(variables, data, np.arange(30, 40))
    assert int(sums.count) == 7
    pixels = (dataset.test.images[36:] / 255 - dataset.mean) / dataset.std
    alone = plan.model.apply(variables, pixels.astype(np.float32), train=False)
    np.testing.assert_allclose(scores[6:7], alone, rtol=1e-4, atol=1e-5)

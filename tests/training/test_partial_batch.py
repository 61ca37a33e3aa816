"""The last batch of an epoch, smaller than the others: `drop_last=False` trains on it too."""

from __future__ import annotations

import contextlib
import dataclasses
import json

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from program import one_line
from rich.console import Console
from same_run import bits
from small_net import Small

from cnn_jax.augment import Mixup
from cnn_jax.benchmark.bench import Bench
from cnn_jax.benchmark.timed_step import Training
from cnn_jax.config.names import NAMES
from cnn_jax.data import Shapes, Split
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.models import MLP, layers
from cnn_jax.modes.dry_run import dry_run
from cnn_jax.optim import SAM, SGD, Accumulate, Constant
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.summary import images_per_second
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime.parallel import parallel
from cnn_jax.runtime.timing import Timing
from cnn_jax.setup import Setup
from cnn_jax.training.loop import run_steps
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import state_shapes
from cnn_jax.training.tracing import LoweredSteps, lowered_step


class Ticks:
    """A clock on which a second passes between any two looks at it."""

    def __init__(self):
        self.looks = 0.0

    compiling = contextlib.nullcontext

    def seconds(self):
        self.looks += 1
        return self.looks


class Memory:
    """Keeps the rows and the states that the loop records; see `loop.Recorder`."""

    def __init__(self):
        self.clock, self.recorded, self.states = Ticks(), [], {}

    def progress(self, start):
        return contextlib.nullcontext()

    def update(self, step, means): ...

    def epoch_done(self, rows): ...

    def rows(self):
        return self.recorded

    def record(self, row):
        self.recorded.append(row)

    def save(self, step, state, measure):
        self.states[step] = jax.device_get(state)


@pytest.fixture
def setup_of(plan_of, dataset):
    """A function: the setup of a run on the first so many of the noise's images."""

    def make(examples: int = 70, **fields) -> Setup:
        few = Split(dataset.train.images[:examples], dataset.train.labels[:examples])
        data = dataclasses.replace(dataset, train=few)
        defaults = {
            "model": Small(),
            "drop_last": False,
            "schedule": Constant(),
            "optimizer": SGD(peak_lr=0.05),
        }
        experiment = plan_of(**(defaults | fields)).experiment
        plan = Plan.of(experiment, DataFacts.of(data))
        devices = parallel(experiment.parallel, experiment.batch_size)
        return Setup(plan, data, "", devices, state_shapes(plan))

    return make


def every_step(setup: Setup, state) -> Memory:
    memory = Memory()
    run_steps(setup, state, memory, log_every_steps=1, save_every_steps=1)
    return memory


def untimed(rows: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def assert_close(mine, theirs, **tolerance):
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def test_an_epoch_is_a_plain_loop_over_all_images(setup_of, state_of, devices):
    """Two epochs of 4 batches of 16 and one of 6, against gradients of the mean loss of each."""
    devices(1)
    setup = setup_of(optimizer=SGD(peak_lr=0.05, momentum=0.9))
    start, train = state_of(setup.plan), setup.data.train
    came = every_step(setup, start)

    @jax.jit
    def gradient(variables, image, label):
        def loss(params):
            logits, new = setup.plan.model.apply(
                {**variables, "params": params}, image, train=True, mutable=["batch_stats"]
            )
            losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, label)
            return losses.mean(), (losses.sum(), new["batch_stats"])

        return jax.grad(loss, has_aux=True)(variables["params"])

    variables = {"params": start.params, "batch_stats": start.batch_stats}
    velocity = jax.tree.map(np.zeros_like, start.params)
    step = 0
    for epoch in range(2):
        order = np.asarray(epoch_order(streams(0).order, epoch, 70))
        seen = loss = 0
        for index in np.split(order, [16, 32, 48, 64]):
            image = (train.images[index] / 255 - setup.data.mean) / setup.data.std
            image = image.astype(np.float32)
            g, (losses, stats) = gradient(variables, image, train.labels[index])
            velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, g)
            params = jax.tree.map(lambda p, v: p - 0.05 * v, variables["params"], velocity)
            variables = {"params": params, "batch_stats": stats}
            step, seen, loss = step + 1, seen + len(index), loss + float(losses)
            state = came.states[step]
            assert_close(state.variables, variables, rtol=1e-4, atol=2e-5)
            assert int(state.metrics.count) == seen
            assert float(state.metrics.loss) == pytest.approx(loss, rel=1e-4)
        assert seen == 70
    assert step == 10 == max(came.states)


def last_step(setup: Setup, start):
    """The state after the last step of an epoch, computed from one before it, on each device."""
    plan, devices = setup.plan, setup.parallel
    program = lowered_step(plan, devices, setup.shapes, None, plan.partial_batch).compile()
    order = np.random.default_rng(0).permutation(plan.data.train).astype(np.int32)
    place = np.int32(plan.steps_per_epoch - 1)
    arguments = start.replace(step=place), Resident.of(setup.data.train), order, streams(0), None
    state, metrics = program(*devices.place(arguments))
    assert_close(devices.fetch(metrics), devices.fetch(state).metrics)
    for leaf in jax.tree.leaves(state):
        parts = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(parts) == len(devices.devices)
        assert all(np.array_equal(part, parts[0]) for part in parts)
    return jax.device_get(devices.fetch(state))


MIXED = {"augment": (Mixup(),)}
IN_PARTS = {"gradient": Accumulate(2, SAM(rho=0.5)), "ema": 0.9, "batch_size": 24}


# Of the last 6 of 70 examples, each of two devices takes 3, and each of four computes all. Of the
# last 8 of 56 = 2 * 24 + 8, each of four takes 2.
@pytest.mark.parametrize(
    ("kind", "count", "examples", "fields"),
    [
        ("jit", 2, 70, MIXED),
        ("pmap", 2, 70, MIXED),
        ("jit", 4, 70, MIXED),
        ("pmap", 4, 70, MIXED),
        ("jit", 4, 56, IN_PARTS),
        ("pmap", 4, 56, IN_PARTS),
    ],
)
def test_any_devices_come_to_the_same_as_one(
    setup_of, state_of, devices, on_one, kind, count, examples, fields
):
    """Weights, BatchNorm's statistics and metrics, after the partial step."""
    devices(count)
    setup = setup_of(examples, parallel=kind, **fields)
    came = last_step(setup, state_of(setup.plan))
    assert_close(came, on_one(examples, fields), rtol=1e-4, atol=2e-5)
    assert int(came.metrics.count) == {70: 6, 56: 8}[examples]


@pytest.fixture(scope="module")
def came_on_one():
    return {}


@pytest.fixture
def on_one(setup_of, state_of, came_on_one):
    """A function: the state by `jit` on one device, by number of examples, as it is computed."""

    def state(examples, fields):
        if examples not in came_on_one:
            with pytest.MonkeyPatch.context() as patch:
                found = jax.devices()[:1]
                patch.setattr(jax, "local_devices", lambda: found)
                setup = setup_of(examples, **fields)
                came_on_one[examples] = last_step(setup, state_of(setup.plan))
        return came_on_one[examples]

    return state


def test_a_run_that_stops_around_its_partial_step_ends_like_one_that_never_did(
    setup_of, state_of, devices
):
    """It resumes before the partial step, which is the fifth, after it, and a step later."""
    devices(4)
    setup = setup_of(model=MLP(hidden=()), epochs=1.4)
    whole = every_step(setup, state_of(setup.plan))
    assert [int(state.metrics.count) for state in whole.states.values()] == [
        *(16, 32, 48, 64, 70),
        *(16, 32),
    ]
    for step in (4, 5, 6):
        resumed = every_step(setup, whole.states[step])
        assert untimed(resumed.recorded) == untimed(whole.recorded[step:])
        assert bits(resumed.states[7]) == bits(whole.states[7])
    # On a clock on which each step takes a second.
    assert [row["images_per_second"] for row in whole.recorded] == [16, 16, 16, 16, 6, 16, 16]
    assert [row["epoch"] for row in whole.recorded] == [0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4]


def test_of_the_speed_of_a_run_a_partial_step_counts_its_images(plan_of):
    """64 images in a second and 6 in another."""
    rows = [
        {"step": 4, "split": "train", "images_per_second": 64},
        {"step": 5, "split": "train", "images_per_second": 6},
    ]
    assert images_per_second(plan_of(drop_last=False), rows) == 35


def test_only_a_partial_batch_that_is_trained_on_has_a_program(setup_of, devices):
    """The step of full batches is the same program, whatever becomes of the last batch."""
    devices(1)
    net = {"model": MLP(hidden=())}
    dropped, kept = (setup_of(**net, drop_last=drop).lowered_steps for drop in (True, False))
    assert dropped.partial is None and kept.partial is not None
    assert setup_of(**net, epochs=0.8).lowered_steps.partial is None  # 4 of 5 steps
    assert setup_of(**net, sampling="balanced").lowered_steps.partial is not None
    divided = [setup_of(64, **net, drop_last=drop).lowered_steps for drop in (True, False)]
    assert divided[0].partial is divided[1].partial is None
    assert divided[0].full.as_text() == divided[1].full.as_text()


class Flat(nn.Module):
    """BatchNorm of features that have no height and width."""

    num_classes: int | None = None

    @nn.compact
    def __call__(self, image, *, train):
        x = layers.batch_norm(train=train)(nn.Dense(4)(image.mean(axis=(1, 2))))
        return layers.scores(self.num_classes)(x)


@pytest.mark.parametrize(
    ("count", "examples", "fields", "message"),
    [
        (1, 70, {"gradient": Accumulate(4)}, "6 .*: gradient.parts must divide the 6 .*, got 4"),
        (2, 68, {"gradient": Accumulate(4)}, "4 .*: gradient.parts must divide the 2 .*, got 4"),
        (1, 65, {"model": Flat()}, "1 .*: model: BatchNorm_0 gets one value of each channel"),
        (4, 65, {"model": Flat()}, "1 .*: model: BatchNorm_0 gets one value of each channel"),
        (1, 66, {"model": Flat(), "gradient": Accumulate(2)}, "2 .*: model: BatchNorm_0 gets one"),
    ],
)
def test_a_last_batch_that_cannot_be_computed_is_refused(
    setup_of, devices, count, examples, fields, message
):
    devices(count)
    setup = setup_of(examples, parallel="pmap", **fields)
    with pytest.raises(UserError, match=f"^drop_last=False leaves {message}") as caught:
        _ = setup.lowered_steps
    assert one_line(str(caught.value))
    assert str(caught.value).endswith("; set drop_last=True, or another batch_size")


def test_one_example_on_each_device_is_a_batch_to_batch_norm(setup_of, devices):
    devices(4)
    assert setup_of(68, model=Flat(), parallel="pmap").lowered_steps.partial


def test_one_image_has_many_values_of_each_channel_and_mixes_with_itself(
    setup_of, state_of, devices
):
    devices(1)
    setup = setup_of(65, augment=(Mixup(),))
    metrics = last_step(setup, state_of(setup.plan)).metrics
    index = np.random.default_rng(0).permutation(65)[64:]
    image = (setup.data.train.images[index] / 255 - setup.data.mean) / setup.data.std
    variables = state_of(setup.plan).variables
    scores, _ = setup.plan.model.apply(
        variables, image.astype(np.float32), train=True, mutable=["batch_stats"]
    )
    loss = -jax.nn.log_softmax(scores)[0, setup.data.train.labels[index[0]]]
    assert int(metrics.count) == 1
    assert float(metrics.loss) == pytest.approx(float(loss), rel=1e-5)


def experiment(train: int, **fields) -> Experiment:
    defaults = {
        "data": Shapes(train=train, validation=0, test=16),
        "model": MLP(hidden=(4,)),
        "batch_size": 32,
        "epochs": 2,
        "drop_last": False,
    }
    return Experiment(**(defaults | fields))


def test_a_run_from_before_the_field_left_out_the_last_batch(plan_of, tmp_path):
    """That such a run resumes: tests/runs/test_version_0_1.py."""
    plan, run = plan_of(), Run(tmp_path)
    run.begin(plan, None, {})
    saved = json.loads((tmp_path / "config.json").read_text())
    assert "drop_last" not in saved["experiment"]
    names = {**NAMES, "TinyNet": type(plan.model)}
    assert run.experiment(names).drop_last is True
    assert run.check_same(plan, None) == ""
    with pytest.raises(RunError, match=r"another experiment \(drop_last: True -> False\)"):
        run.check_same(plan_of(drop_last=False), None)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"drop_last": True}, "6 images, left out (drop_last=True)"),
        ({}, "6 images, a step of its own; on each of the 4 devices, which do not divide it"),
        ({"epochs": 0.5}, "6 images, after the end of the run"),
        ({"data": Shapes(train=200, validation=0, test=8)}, "8 images, a step of its own\n"),
    ],
)
def test_a_dry_run_counts_the_last_batch(monkeypatch, fields, line):
    monkeypatch.setattr(LoweredSteps, "compile", lambda _: (None, None))
    console = Console(width=300)
    with console.capture() as capture:
        dry_run(experiment(198, **fields), console=console)
    assert f"last batch of an epoch  {line}" in capture.get()


def test_a_benchmark_s_epoch_has_its_partial_step(setup_of, devices, monkeypatch):
    """70, 140 and 280 images are 4, 8 and 17 full batches and one of 6, 12 and 8."""
    devices(1)
    setup = setup_of(model=MLP(hidden=()))
    seconds = {"full": 10.0, "partial": 1.0}
    monkeypatch.setattr(Training, "compile_all", lambda _: tuple(seconds))
    monkeypatch.setattr(Training, "time", lambda _, step, *__: Timing((seconds[step],), 1))
    monkeypatch.setattr(Training, "time_order", lambda *_: Timing((0.5,), 1))
    epochs = Bench(setup.plan, setup.data, 1.0, lambda text: None).epochs()
    assert [row["steps"] for row in epochs] == [5, 9, 18]
    assert [row["epoch_seconds"] for row in epochs] == [41.5, 81.5, 171.5]

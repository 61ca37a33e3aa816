"""Class imbalance in a run: weighted loss, balanced sampling, selection by balanced accuracy."""

from __future__ import annotations

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from same_run import assert_same_run

from cnn_jax.augment import Augmentation
from cnn_jax.benchmark.parts import to_images
from cnn_jax.data import Dataset, Split
from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.losses import Softmax
from cnn_jax.models import MLP
from cnn_jax.optim import SGD, Constant
from cnn_jax.runs import restore
from cnn_jax.runtime.parallel import parallel
from cnn_jax.train import train
from cnn_jax.training.evaluator import Evaluation, Evaluator
from cnn_jax.training.order import draw_order
from cnn_jax.training.random_keys import streams
from cnn_jax.training.step import train_step

QUIET = Console(quiet=True)


@dataclasses.dataclass(frozen=True)
class Tints:
    """Noise of 2x2x3 in which the images of class k are brighter in channel k.

    Attributes:
      counts: Number of training images of each class.
    """

    counts: tuple[int, ...] = (300, 30, 20)

    def resolve(self, data_dir=None):
        return self, ""

    def load(self, data_dir=None):
        random = np.random.default_rng(0)

        def split(counts):
            labels = np.repeat(np.arange(3, dtype=np.int32), counts)
            noise = random.normal(128, 40, (len(labels), 2, 2, 3))
            noise[np.arange(len(labels)), :, :, labels] += 30
            return Split(noise.clip(0, 255).astype(np.uint8), labels)

        return Dataset(
            name="tints",
            classes=("red", "green", "blue"),
            train=split(self.counts),
            validation=split((60, 6, 4)),
            test=split((200, 200, 200)),
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            fingerprint="0",
        )


def experiment(**fields) -> Experiment:
    defaults = {
        "data": Tints(),
        "model": MLP(hidden=()),
        "optimizer": SGD(peak_lr=0.02),
        "schedule": Constant(),
        "batch_size": 32,
        "epochs": 4,
    }
    return Experiment(**(defaults | fields))


def plan_of(**fields) -> tuple[Plan, Dataset]:
    made = experiment(**fields)
    data = made.data.load()
    return Plan.of(made, DataFacts.of(data)), data


def softmax_losses(logits, labels):
    logits = np.asarray(logits, np.float64)
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    return -np.log(exponents / exponents.sum(1, keepdims=True))[np.arange(len(labels)), labels]


# 350 / (3 * 300), 350 / (3 * 30), 350 / (3 * 20)
WEIGHTS = np.array([350 / 900, 350 / 90, 350 / 60])


def test_training_and_evaluation_have_the_weighted_loss(state_of):
    plan, data = plan_of(loss=Softmax(class_weights="balanced"))
    state, keys = state_of(plan), streams(0)
    result = Evaluator(plan, state.variables, data.validation)(state.variables)
    labels = data.validation.labels
    expected = (WEIGHTS[labels] * softmax_losses(result.logits, labels)).sum() / len(labels)
    assert result.loss == pytest.approx(expected, rel=1e-5)

    order = epoch_order(keys.order, 0, len(data.train))
    first = np.asarray(order[:32])
    step = jax.jit(functools.partial(train_step, plan))
    after, sums = step(state, Resident.of(data.train), order, keys)
    images = ((data.train.images[first] / 255 - 0.5) / 0.25).reshape(32, -1)
    labels, kernel = data.train.labels[first], state.params["Dense_0"]["kernel"]
    losses = softmax_losses(images @ kernel, labels)
    assert float(sums.loss) == pytest.approx((WEIGHTS[labels] * losses).sum(), rel=1e-5)
    # The batch's loss is divided by its size, not by the sum of its weights.
    exponents = np.exp(images @ kernel)
    slope = exponents / exponents.sum(1, keepdims=True) - np.eye(3)[labels]
    gradient = images.T @ (WEIGHTS[labels][:, None] * slope) / 32
    np.testing.assert_allclose(
        after.params["Dense_0"]["kernel"], kernel - 0.02 * gradient, rtol=1e-4, atol=1e-6
    )


@dataclasses.dataclass(frozen=True)
class Show(Augmentation):
    """Images of the index, in the first two channels, and the label."""

    def __call__(self, key, batch):
        shown = jnp.stack([batch.index % 256, batch.index // 256, batch.label], -1)
        image = jnp.broadcast_to(shown[:, None, None], batch.image.shape)
        return batch.replace(image=image.astype(jnp.uint8))


@pytest.mark.filterwarnings("ignore:Some donated buffers")  # the state is not returned
@pytest.mark.parametrize(
    ("sampling", "kind", "count"),
    [("uniform", "jit", 1), *(("balanced", *on) for on in (("jit", 1), ("jit", 4), ("pmap", 4)))],
)
def test_an_example_drawn_twice_is_augmented_anew_each_time(
    devices, state_of, sampling, kind, count
):
    """The index seeds an example's augmentation; with "balanced", it is the place in the epoch."""
    devices(count)
    identity = Normalize((0.0,) * 3, (1 / 255,) * 3)
    plan, data = plan_of(sampling=sampling, augment=(Show(),), normalize=identity)
    layout, keys = parallel(kind, 32), streams(0)
    order = jax.jit(functools.partial(draw_order, plan, keys.order))(1, data.train.labels)
    state = state_of(plan).replace(step=np.int32(12))  # before the second epoch's third step
    arguments = [layout.place(tree) for tree in (state, Resident.of(data.train), order, keys)]
    images = layout.lower(functools.partial(to_images, plan), *arguments).compile()(*arguments)
    parts = [np.asarray(shard.data) for shard in images.addressable_shards]
    shown = np.concatenate(parts).reshape(32, 2, 2, 3)[:, 0, 0].round().astype(int)

    drawn = np.asarray(order[64:96])
    np.testing.assert_array_equal(shown[:, 2], data.train.labels[drawn])
    if sampling == "balanced":
        assert len(set(drawn.tolist())) < 32, "no example is drawn twice: a poor test"
    expected = drawn if sampling == "uniform" else np.arange(64, 96)
    np.testing.assert_array_equal(shown[:, 0] + 256 * shown[:, 1], expected)


@pytest.fixture(scope="module", autouse=True)
def without_figures():
    """Figures take longer than the training here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnn_jax.runs.recorder.draw_figures", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of three runs that differ in what they do about the imbalance."""
    folder = tmp_path_factory.mktemp("runs")
    fields = {
        "plain": {},
        "weights": {"loss": Softmax(class_weights="balanced")},
        "sampling": {"sampling": "balanced"},
    }
    for name, changed in fields.items():
        train(experiment(**changed), folder / name, console=QUIET)
    return folder


def summary(folder) -> dict:
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize("name", ["weights", "sampling"])
def test_balanced_accuracy_rises(runs, name):
    """Of a test set with as many images of each class. Plain: 41 %; the others: 71 %."""
    before, after = summary(runs / "plain"), summary(runs / name)
    assert after["steps"] == before["steps"] == 40
    assert before["test_balanced_accuracy"] == pytest.approx(before["test_accuracy"])
    assert not before["test_imbalanced"]
    assert after["test_balanced_accuracy"] > before["test_balanced_accuracy"] + 0.15
    facts = json.loads((runs / name / "config.json").read_text())["data"]
    assert facts["class_counts"] == [300, 30, 20]


class Stop(Exception):
    """What a preempted machine does to a run."""


def test_a_run_with_balanced_sampling_resumes_bit_for_bit(runs, tmp_path, monkeypatch):
    """Stopped after the second epoch's end, and before its third."""
    wanted = experiment(sampling="balanced")
    monkeypatch.setattr("same_run.restore", functools.partial(restore, recipe=wanted))

    def stop(rows):
        if rows[0]["step"] == 20:
            raise Stop

    with pytest.raises(Stop):
        train(wanted, tmp_path, on_epoch=stop, console=QUIET)
    train(wanted, tmp_path, console=QUIET)
    assert_same_run(tmp_path, runs / "sampling")


@pytest.fixture
def measured(monkeypatch):
    """A function that sets what `balanced_accuracy` gives, one number for each evaluation."""

    def change(*values):
        left = list(values)
        monkeypatch.setattr(Evaluation, "balanced_accuracy", lambda self: left.pop(0))

    return change


def rows(folder, split) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


def test_balanced_accuracy_decides_which_weights_are_kept_and_when_a_run_ends(tmp_path, measured):
    """At a rate so low that accuracy stays: by that, it ends at step 30, and keeps the last."""
    measured(0.2, 0.3, 0.9, 0.5, 0.4, 0.6)  # five epochs and the test
    wanted = experiment(
        optimizer=SGD(peak_lr=1e-12),
        epochs=6,
        patience=2,
        keep_best=True,
        select_by="balanced_accuracy",
    )
    result = train(wanted, tmp_path, console=QUIET)
    validation = rows(tmp_path, "validation")
    assert len({row["accuracy"] for row in validation}) == 1
    assert [row["balanced_accuracy"] for row in validation] == [0.2, 0.3, 0.9, 0.5, 0.4]
    assert not any("balanced_accuracy" in row for row in rows(tmp_path, "train"))
    assert result.summary["steps"] == 50
    assert int(result.state.step) == int(restore(tmp_path, recipe=wanted)[1].step) == 30
    saved = json.loads((tmp_path / "checkpoints" / "30" / "progress.json").read_text())
    assert saved["validation_accuracy"] == 0.9
    assert result.summary["validation_accuracy"] == validation[0]["accuracy"]
    assert result.summary["validation_balanced_accuracy"] == 0.9
    assert result.summary["test_balanced_accuracy"] == 0.6

    log = tmp_path / "metrics.jsonl"
    log.write_text(log.read_text().replace('"balanced_accuracy": 0.9, ', ""))
    with pytest.raises(UserError, match=r"a row of step 30: it has no balanced_accuracy$"):
        restore(tmp_path, recipe=wanted)


def test_rows_of_other_runs_stay_as_they_are(runs):
    keys = ["step", "epoch", "split", "loss", "accuracy", "seconds"]
    assert [list(row) for row in rows(runs / "weights", "validation")] == [keys] * 4

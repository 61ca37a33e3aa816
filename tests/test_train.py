"""Training as a library: results, resuming, and what users hang onto it."""

from __future__ import annotations

import io
import json

import flax.linen as nn
import jax
import numpy as np
import pytest
from preempted import Preempted, PreemptedAt
from rich.console import Console
from same_run import bits, untimed

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Shapes
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP, ResNet
from cnn_jax.optim import SGD
from cnn_jax.runs import restore, restore_plan
from cnn_jax.runs.workdir import Run
from cnn_jax.tracking.writer import Writer
from cnn_jax.train import Diverged, train
from cnn_jax.training.evaluator import Evaluator

QUIET = Console(quiet=True)


def experiment(**fields) -> Experiment:
    defaults = {
        "data": Shapes(train=200, validation=40, test=40),
        "model": MLP(hidden=(8,)),
        "augment": (RandomCrop(2), Flip()),
        "optimizer": SGD(peak_lr=0.02),
        "batch_size": 32,
        "epochs": 3,
    }
    return Experiment(**(defaults | fields))


def test_result_is_what_the_folder_holds(tmp_path):
    result = train(experiment(), tmp_path / "run", console=QUIET)
    assert result.summary == json.loads((tmp_path / "run" / "summary.json").read_text())
    made, state = restore(tmp_path / "run")
    assert made == experiment()
    assert bits(state) == bits(result.state)
    assert int(state.step) == 18 == result.plan.total_steps


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_a_run_that_was_stopped_twice_ends_like_one_that_never_was(tmp_path, parallel):
    wanted = experiment(parallel=parallel, model=ResNet(depth=8, width=2), epochs=2.5, ema=0.9)
    whole = train(wanted, tmp_path / "whole", log_every_steps=2, console=QUIET)

    folder = tmp_path / "stopped"
    options = {"log_every_steps": 2, "save_every_steps": 3, "console": QUIET}
    for at in (4, 10):  # a step after a checkpoint in mid-epoch
        with pytest.raises(Preempted):
            train(wanted, folder, writers=[PreemptedAt(at)], **options)
    resumed = train(wanted, folder, **options)
    assert bits(resumed.state) == bits(whole.state)
    assert untimed(folder) == untimed(tmp_path / "whole")
    assert len(json.loads((folder / "manifest.json").read_text())["launches"]) == 3


def test_pmap_and_jit_train_alike(tmp_path):
    model = ResNet(depth=8, width=2)
    by_jit = train(experiment(model=model, epochs=1), tmp_path / "jit", console=QUIET)
    by_pmap = train(
        experiment(model=model, epochs=1, parallel="pmap"), tmp_path / "pmap", console=QUIET
    )
    for a, b in zip(
        jax.tree.leaves(by_jit.state.variables),
        jax.tree.leaves(by_pmap.state.variables),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_same_seed_same_bits_and_another_seed_others(tmp_path):
    runs = [
        train(experiment(seed=seed, epochs=1), tmp_path / name, console=QUIET)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert bits(runs[0].state) == bits(runs[1].state)
    assert bits(runs[0].state) != bits(runs[2].state)


def test_keep_best_gives_the_test_set_the_weights_that_were_best_on_validation(tmp_path):
    # A rate that is far too high at first: validation accuracy goes up and down.
    wanted = experiment(keep_best=True, optimizer=SGD(peak_lr=0.3), epochs=6)
    result = train(wanted, tmp_path / "run", console=QUIET)
    rows = Run(tmp_path / "run").metrics.rows()
    validation = [row for row in rows if row["split"] == "validation"]
    best = max(validation, key=lambda row: (row["accuracy"], row["step"]))
    assert best["accuracy"] > validation[-1]["accuracy"], "the last is the best: a poor test"
    assert int(result.state.step) == best["step"]
    assert result.summary["validation_accuracy"] == best["accuracy"]
    data = wanted.data.load()
    again = Evaluator(result.plan, result.state.variables, data.validation)
    assert again(result.state.variables).accuracy == best["accuracy"]
    assert (
        Evaluator(result.plan, result.state.variables, data.test)(result.state.variables).accuracy
        == result.summary["test_accuracy"]
    )


def test_callbacks_see_every_row(tmp_path):
    epochs, seen = [], []

    class Listing(Writer):
        def write(self, row):
            seen.append(row)

    train(
        experiment(),
        tmp_path / "run",
        on_epoch=epochs.append,
        writers=[Listing()],
        console=QUIET,
    )
    assert seen == Run(tmp_path / "run").metrics.rows()
    assert [[row["split"] for row in rows] for rows in epochs] == [["train", "validation"]] * 3


@pytest.mark.parametrize("drop_last", [True, False])
def test_nothing_is_compiled_in_mid_run(tmp_path, drop_last):
    """The first epoch has compiled all that the later ones need: the step is compiled once."""
    compiled, after_epoch = [], []

    def count(event, seconds, **facts):
        del seconds, facts
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        train(
            experiment(seed=3, epochs=4, drop_last=drop_last),
            tmp_path,
            console=QUIET,
            on_epoch=lambda rows: after_epoch.append(len(compiled)),
        )
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert after_epoch[0] > 0
    assert after_epoch == after_epoch[:1] * 4


def test_learning_rate_of_a_row_is_the_one_its_step_took(tmp_path):
    train(experiment(epochs=2), tmp_path / "run", log_every_steps=1, console=QUIET)
    rows = [r for r in Run(tmp_path / "run").metrics.rows() if r["split"] == "train"]
    expected = [0.02 * 0.5 * (1 + np.cos(np.pi * step / 12)) for step in range(12)]
    np.testing.assert_allclose([row["learning_rate"] for row in rows], expected, rtol=1e-5)


def test_divergence_stops_the_run_and_saves_nothing_bad(tmp_path):
    with pytest.raises(Diverged, match="step"):
        train(experiment(optimizer=SGD(peak_lr=1e20)), tmp_path / "run", console=QUIET)
    assert Run(tmp_path / "run").summary() is None
    assert Run(tmp_path / "run").checkpoints().latest() is None


def test_other_data_of_the_same_name_is_refused(tmp_path):
    train(experiment(epochs=1), tmp_path / "run", console=QUIET)
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    saved["data"]["fingerprint"] = "another"
    (tmp_path / "run" / "config.json").write_text(json.dumps(saved))
    with pytest.raises(UserError, match="other data"):
        train(experiment(epochs=1), tmp_path / "run", console=QUIET)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no run"):
        restore(tmp_path)


class Notebook(nn.Module):
    """A model that no recipe has, which sows."""

    num_classes: int | None = None

    @nn.compact
    def __call__(self, image, *, train):
        x = nn.relu(nn.Conv(4, (3, 3), strides=2)(image)).mean(axis=(1, 2))
        self.sow("losses", "square", (x**2).sum())
        return nn.Dense(self.num_classes)(x)


def test_a_run_of_classes_of_a_notebook_is_restored_by_its_experiment(tmp_path):
    wanted = experiment(model=Notebook(), epochs=1)
    result = train(wanted, tmp_path / "run", console=QUIET)
    with pytest.raises(UserError, match="Notebook unknown: name the run's recipe"):
        restore(tmp_path / "run")
    again, state = restore(tmp_path / "run", recipe=wanted)
    assert again == wanted and bits(state) == bits(result.state)
    plan, state = restore_plan(tmp_path / "run", recipe=wanted)
    test = wanted.data.load().test
    scores = plan.model.apply(state.variables, plan.normalize(test.images), train=False)
    right = float((np.argmax(scores, -1) == test.labels).mean())
    assert right == pytest.approx(result.summary["test_accuracy"])


def test_a_run_ends_without_a_figure_that_cannot_be_drawn(tmp_path, monkeypatch):
    def fails(*_):
        raise KeyError("no such layer")

    monkeypatch.setattr("cnn_jax.runs.summary.first_kernel", fails)
    said = io.StringIO()
    result = train(experiment(epochs=1), tmp_path / "run", console=Console(file=said, width=200))
    assert result.summary["finished"] and (tmp_path / "run" / "summary.json").exists()
    assert "figures are missing: KeyError: 'no such layer'" in said.getvalue()

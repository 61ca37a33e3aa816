"""Distillation: the loss by NumPy, the gradient of a step, and a run with another as teacher."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil

import jax
import numpy as np
import pytest
from rich.console import Console
from same_run import bits

from cnn_jax.augment import Flip
from cnn_jax.data import Shapes
from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Distill
from cnn_jax.models import MLP
from cnn_jax.modes.dry_run import dry_run
from cnn_jax.optim import SAM, SGD, Accumulate, Constant
from cnn_jax.runs import restore
from cnn_jax.runs.run_records import RunError
from cnn_jax.train import train
from cnn_jax.training.random_keys import streams
from cnn_jax.training.step import train_step
from cnn_jax.transfer.teacher import teacher_digest

QUIET = Console(quiet=True)


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_the_loss_is_the_publication_s():
    """0.7 of 9 times the divergence of the softened scores, and 0.3 of the loss."""
    random = np.random.default_rng(0)
    student, teacher = random.standard_normal((2, 5, 4)).astype(np.float32)
    losses = random.random(5).astype(np.float32)
    p, q = softmax(teacher / 3), softmax(student / 3)
    expected = 0.3 * losses + 0.7 * 9 * (p * np.log(p / q)).sum(-1)
    distill = Distill("runs/r18", weight=0.7, temperature=3.0)
    np.testing.assert_allclose(distill(losses, student, teacher), expected, rtol=1e-5)
    np.testing.assert_allclose(distill(losses, student, student), 0.3 * losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"weight": -0.1}, "weight"),
        ({"weight": 1.1}, "weight"),
        ({"temperature": 0}, "temperature"),
    ],
)
def test_impossible_fields_are_named(fields, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        Distill("runs/r18", **fields)


def experiment(**fields) -> Experiment:
    defaults = {
        "data": Shapes(train=200, validation=0, test=40),
        "model": MLP(hidden=(8,)),
        "augment": (Flip(),),
        "optimizer": SGD(peak_lr=0.02),
        "batch_size": 32,
        "epochs": 2,
    }
    return Experiment(**(defaults | fields))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The folder of a finished run, with a normalisation of its own."""
    folder = tmp_path_factory.mktemp("teacher")
    normalize = Normalize(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    train(experiment(normalize=normalize, epochs=4), folder, console=QUIET)
    return folder


class Stop(Exception):
    """What a preempted machine does to a run."""


def test_a_student_resumes_and_is_restored(tmp_path, teacher):
    wanted = experiment(distill=Distill(str(teacher)), schedule=Constant())
    whole = train(wanted, tmp_path / "whole", console=QUIET)
    assert restore(tmp_path / "whole")[0] == wanted

    def stop(rows):
        raise Stop

    with pytest.raises(Stop):
        train(wanted, tmp_path / "stopped", on_epoch=stop, console=QUIET)
    resumed = train(wanted, tmp_path / "stopped", console=QUIET)
    assert bits(resumed.state) == bits(whole.state)

    # The finished student has no more need of its teacher.
    away = teacher.rename(teacher.with_name("away"))
    try:
        assert train(wanted, tmp_path / "whole", console=QUIET).summary == whole.summary
        with pytest.raises(UserError, match=r"^distill.teacher: no run at"):
            train(wanted, tmp_path / "another", console=QUIET)
    finally:
        away.rename(teacher)


def test_row_10_another_run_in_the_teacher_s_folder_is_refused(tmp_path, teacher):
    folder = shutil.copytree(teacher, tmp_path / "teacher")
    wanted = experiment(distill=Distill(str(folder)))

    def stop(rows):
        raise Stop

    with pytest.raises(Stop):
        train(wanted, tmp_path / "run", on_epoch=stop, console=QUIET)
    config = folder / "config.json"
    config.write_text(config.read_text().replace("(0.1, 0.2, 0.3)", "(0.3, 0.2, 0.1)"))
    with pytest.raises(RunError, match=r"^distill\.teacher: its run has changed"):
        train(wanted, tmp_path / "run", console=QUIET)


def test_a_teacher_s_digest_is_of_its_weights_too(plan_of, state_of):
    plan = plan_of()
    weights = state_of(plan).variables
    assert teacher_digest(plan, state_of(plan).variables) == teacher_digest(plan, weights)
    weights["params"]["Conv_0"]["bias"][0] += 1e-7
    assert teacher_digest(plan, state_of(plan).variables) != teacher_digest(plan, weights)


def test_the_step_follows_the_teacher_s_scores(plan_of, dataset, state_of):
    """A linear student's gradient, by NumPy: T times the difference of the softened scores."""
    rate, heat = 0.1, 2.0
    fields = {"model": MLP(hidden=()), "schedule": Constant(), "normalize": Normalize((0.0,) * 3)}
    taught = plan_of(**fields | {"normalize": Normalize((0.5,) * 3, (0.2,) * 3)})
    plan = plan_of(
        **fields,
        optimizer=SGD(peak_lr=rate, momentum=0.0),
        distill=Distill("runs/teacher", weight=1.0, temperature=heat),
    )
    plan = dataclasses.replace(plan, teacher=taught)
    state, variables = state_of(plan, 0), state_of(taught, 1).variables
    data, keys = Resident.of(dataset.train), streams(0)
    order = epoch_order(keys.order, 0, len(dataset.train))

    images = dataset.train.images[np.asarray(order[:16])] / 255
    student, theirs = (
        ((images - mean) / std).reshape(16, -1)
        for mean, std in (((0, 0, 0), dataset.std), ((0.5,) * 3, (0.2,) * 3))
    )
    kernel = state.params["Dense_0"]["kernel"]
    p = softmax(theirs @ variables["params"]["Dense_0"]["kernel"] / heat)
    q = softmax(student @ kernel / heat)
    expected = kernel - rate * heat * student.T @ (q - p) / 16
    for rule in (plan.experiment.gradient, Accumulate(parts=2)):
        made = dataclasses.replace(
            plan, experiment=dataclasses.replace(plan.experiment, gradient=rule)
        )
        after, _ = jax.jit(functools.partial(train_step, made))(state, data, order, keys, variables)
        np.testing.assert_allclose(
            after.params["Dense_0"]["kernel"], expected, rtol=1e-4, atol=1e-5
        )


def test_a_teacher_that_does_not_fit_is_refused_in_one_line(tmp_path, teacher):
    def refusal(folder, **fields):
        with pytest.raises(UserError) as error:
            dry_run(experiment(distill=Distill(str(folder)), **fields), console=QUIET)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert refusal(tmp_path).startswith("distill.teacher: no run at")
    for name, change, message in (
        ("unfinished", {}, "has not finished"),
        ("classes", {"classes": list("abc")}, "has the classes"),
        ("size", {"image_shape": [28, 28, 1]}, "has the image shape"),
    ):
        folder = shutil.copytree(teacher, tmp_path / name)
        if name == "unfinished":
            (folder / "summary.json").unlink()
        saved = json.loads((folder / "config.json").read_text())
        saved["data"] |= change
        (folder / "config.json").write_text(json.dumps(saved))
        assert message in refusal(folder)


def test_a_dry_run_counts_the_teacher(teacher):
    dry_run(experiment(distill=Distill(str(teacher)), gradient=SAM()), console=QUIET)


def test_no_teacher_is_not_the_current_folder():
    with pytest.raises(ValueError, match=r"^teacher must be the workdir of a finished run"):
        Distill("")

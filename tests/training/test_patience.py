"""A run that ends early, on the validation split alone."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from cnn_jax.data import Shapes
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP
from cnn_jax.optim import SGD, Constant
from cnn_jax.train import Interrupted, train
from cnn_jax.training.loop import out_of_patience

QUIET = Console(quiet=True)


def rows(*accuracies: float) -> list[dict]:
    every = [{"split": "validation", "accuracy": accuracy} for accuracy in accuracies]
    return [row for validation in every for row in ({"split": "train", "accuracy": 1}, validation)]


@pytest.mark.parametrize(
    ("accuracies", "out"),
    [
        ((), False),
        ((0.1, 0.1), False),
        ((0.1, 0.1, 0.1), True),
        ((0.3, 0.2, 0.1), True),
        ((0.1, 0.2, 0.1), False),
        ((0.5, 0.1, 0.2, 0.3), True),
        ((0.5, 0.1, 0.6, 0.3), False),
    ],
)
def test_patience_of_two_epochs_ends_after_two_without_a_new_best(accuracies, out):
    class Plan:
        experiment = Experiment(data=Shapes(), model=MLP(), patience=2)

    assert out_of_patience(Plan, rows(*accuracies)) == out
    Plan.experiment = Experiment(data=Shapes(), model=MLP())
    assert not out_of_patience(Plan, rows(*accuracies))


def test_patience_by_balanced_accuracy():
    """Accuracy falls and balanced accuracy rises, and the other way round."""

    class Plan:
        experiment = Experiment(
            data=Shapes(), model=MLP(), patience=2, select_by="balanced_accuracy"
        )

    rising = [
        row | {"balanced_accuracy": value}
        for row, value in zip(rows(0.9, 0.8, 0.7)[1::2], (0.1, 0.2, 0.3), strict=True)
    ]
    falling = [
        row | {"balanced_accuracy": value}
        for row, value in zip(rows(0.7, 0.8, 0.9)[1::2], (0.3, 0.2, 0.1), strict=True)
    ]
    assert not out_of_patience(Plan, rising)
    assert out_of_patience(Plan, falling)


def tiny(**fields) -> Experiment:
    """A rate so low that validation accuracy never moves."""
    return Experiment(
        data=Shapes(train=64, validation=32, test=16),
        model=MLP(hidden=(4,)),
        optimizer=SGD(peak_lr=1e-12),
        schedule=Constant(),
        batch_size=16,
        epochs=9,
        **fields,
    )


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_without_progress_ends_early_also_when_resumed(stopped, tmp_path):
    """One epoch sets the best, three more have their chance: 16 steps of 36."""
    experiment = tiny(patience=3, keep_best=True)

    def stop_after_the_last(rows):
        if rows[0]["step"] == 16:
            raise Interrupted(16, 15)

    if stopped:
        with pytest.raises(Interrupted):
            train(experiment, tmp_path, on_epoch=stop_after_the_last, console=QUIET)
    summary = train(experiment, tmp_path, console=QUIET).summary
    assert (summary["steps"], summary["epochs"]) == (16, 4)
    logged = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in logged if row["split"] == "validation"] == [4, 8, 12, 16]
    assert [row["step"] for row in logged if row["split"] == "test"] == [16]


def test_patience_needs_validation_images(tmp_path):
    experiment = Experiment(
        data=Shapes(train=64, validation=0, test=16), model=MLP(), batch_size=16, patience=3
    )
    with pytest.raises(UserError, match="patience needs validation"):
        train(experiment, tmp_path, console=QUIET)

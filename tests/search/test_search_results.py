"""The table, search.csv and the figure of a search."""

from __future__ import annotations

import csv

import pytest
from rich.console import Console

from cnn_jax.report import search_figure
from cnn_jax.report.search_figure import Field, Point
from cnn_jax.search.results import Results
from cnn_jax.search.space import space
from cnn_jax.search.study import Study

optuna = pytest.importorskip("optuna")

AXES = space("optimizer.peak_lr=log(1e-3,1); batch_size=choice(8,16)")


@pytest.fixture
def found(tmp_path):
    """Trials that ended in every way: 60 %, pruned at 40 % in epoch 2, diverged, 70 %, running."""
    study = Study(tmp_path, None, "random", 0)
    for reported, value in (([0.5, 0.6], 0.6), ([0.3, 0.4], None), ([], None), ([0.7], 0.7)):
        trial = study.next(9, lambda number: True)
        study.suggest(trial, AXES)
        for epoch, measured in enumerate(reported, 1):
            study.report(trial, epoch, measured)
        study.tell(trial, value, pruned=bool(reported) and value is None)
    study.suggest(study.next(9, lambda number: True), AXES)
    return Results(study.trials(), study.best(), AXES, "validation_accuracy"), study.trials()


def test_the_file_has_every_trial(found, tmp_path):
    results, trials = found
    assert results.write(tmp_path) == ["search.csv", "search.png"]
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
    rows = [*csv.DictReader((tmp_path / "search.csv").open())]
    assert [
        (row["folder"], row["state"], row["validation_accuracy"], row["epochs_trained"])
        for row in rows
    ] == [
        ("000", "finished", "0.6", "2"),
        ("001", "pruned", "0.4", "2"),
        ("002", "diverged", "", ""),
        ("003", "finished", "0.7", "1"),
        ("004", "running", "", ""),
    ]
    for row, trial in zip(rows, trials, strict=True):
        assert float(row["optimizer.peak_lr"]) == trial.params["optimizer.peak_lr"]
        assert row["batch_size"] == trial.params["batch_size"]


def test_the_table_has_the_finished_trials_from_the_best(found):
    console = Console(width=100)
    with console.capture() as shown:
        console.print(found[0].table())
    lines = shown.get().splitlines()
    assert lines[0].strip() == "2 finished, 1 pruned, 1 diverged, 1 running"
    assert [line.split()[0] for line in lines if line.strip().endswith("%")] == ["3", "0"]


def test_before_a_trial_has_a_value_there_is_no_figure(tmp_path):
    results = Results([], None, AXES, "validation_accuracy")
    assert results.write(tmp_path) == ["search.csv"]
    assert not (tmp_path / "search.png").exists()


def test_the_figure_shows_each_trial_at_its_values():
    points = [
        Point(0, {"lr": 0.1, "size": "8"}, 0.6, False, False),
        Point(1, {"lr": 0.01, "size": "16"}, 0.4, True, False),
        Point(3, {"lr": 0.001, "size": "16"}, 0.7, False, True),
        Point(4, {"lr": 0.5, "size": "8"}, 0.5, False, False),
    ]
    fields = [Field("lr", True, ()), Field("size", False, ("8", "16"))]
    order, rates, sizes = search_figure.build(points, fields, "validation accuracy").axes
    shown = {
        axes.get_xlabel(): [[tuple(xy) for xy in dots.get_offsets()] for dots in axes.collections]
        for axes in (order, rates, sizes)
    }
    # Finished, pruned, best.
    assert shown["trial"] == [[(0, 60), (4, 50)], [(1, 40)], [(3, 70)]]
    assert shown["lr"] == [[(0.1, 60), (0.5, 50)], [(0.01, 40)], [(0.001, 70)]]
    assert shown["size"] == [[(0, 60), (0, 50)], [(1, 40)], [(1, 70)]]
    assert rates.get_xscale() == "log" and order.get_xscale() == "linear"
    (best,) = order.lines
    assert [*zip(*best.get_data(), strict=True)] == [(0, 60), (3, 70), (4, 70)]

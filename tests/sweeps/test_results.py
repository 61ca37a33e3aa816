"""The table, sweep.json, sweep.csv and the figure of a sweep."""

from __future__ import annotations

import csv
import json

import pytest
from scipy import stats

from cnn_jax.report import sweep_figure
from cnn_jax.report.sweep_figure import Point
from cnn_jax.runs.workdir import Run
from cnn_jax.storage.json_files import write_json
from cnn_jax.sweeps.grid import grid
from cnn_jax.sweeps.results import Results
from cnn_jax.sweeps.sweep_folder import members


@pytest.fixture
def results(tmp_path):
    """A function that writes the runs of a grid, and returns their results."""

    def make(text, accuracies, seeds=None):
        found = members(Run(tmp_path), grid(text, seeds))
        for member, accuracy in zip(found, accuracies, strict=True):
            if accuracy is None:
                member.set_diverged("the loss is nan")
                continue
            keys = ("test_loss", "epochs", "train_seconds", "compile_seconds")
            summary = dict.fromkeys(keys, 2.0) | {"parameters": 1, "steps": 1, "finished": True}
            summary |= {"dataset": "noise", "test_accuracy": 1 - accuracy}
            member.run.folder.mkdir()
            content = summary | {"validation_accuracy": accuracy}
            write_json(member.run.folder / "summary.json", content)
        return Results.of(found, "accuracy")

    return make


def test_settings_are_compared_on_validation_over_their_seeds(results, tmp_path):
    found = results("lr=0.1,0.01", [0.5, 0.6, 0.7, 0.9, 0.8, None], seeds=3)
    assert found.measure == "validation_accuracy"
    first, second = found.settings
    assert (first.mean.mean, first.mean.n, first.diverged) == (pytest.approx(0.6), 3, 0)
    reach = stats.t.ppf(0.975, 2) * 0.1 / 3**0.5
    assert first.mean.high - first.mean.mean == pytest.approx(reach)
    assert (second.mean.mean, second.mean.n, second.diverged) == (pytest.approx(0.85), 2, 1)
    assert found.best is second
    found.write(Run(tmp_path), "mine")
    rows = [*csv.DictReader((tmp_path / "sweep.csv").open())]
    assert [(row["folder"], row["lr"], row["seed"], row["state"]) for row in rows[3:]] == [
        ("003", "0.01", "0", "finished"),
        ("004", "0.01", "1", "finished"),
        ("005", "0.01", "2", "diverged"),
    ]
    assert [row["validation_accuracy"] for row in rows[3:]] == ["0.9", "0.8", ""]
    assert "test_accuracy" not in rows[0]  # choices are made on validation
    content = json.loads((tmp_path / "sweep.json").read_text())
    assert [run["validation_accuracy"] for run in content["runs"]] == [
        0.5,
        0.6,
        0.7,
        0.9,
        0.8,
        None,
    ]
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_the_files_have_the_runs_of_all_grids(results, tmp_path):
    results("lr=0.1,0.01", [0.5, 0.6]).write(Run(tmp_path), "mine")
    found = members(Run(tmp_path), grid("lr=0.1; width=4"))
    found[0].set_diverged("the loss is nan")
    assert Results.of(found, "accuracy").write(Run(tmp_path), "mine") == ["sweep.json", "sweep.csv"]
    rows = [*csv.DictReader((tmp_path / "sweep.csv").open())]
    assert [
        (row["folder"], row["lr"], row["width"], row["validation_accuracy"]) for row in rows
    ] == [
        ("000", "0.1", "", "0.5"),
        ("001", "0.01", "", "0.6"),
        ("002", "0.1", "4", ""),
    ]


def test_a_sweep_over_seeds_alone_shows_the_test_set(results):
    found = results(None, [0.2, 0.3], seeds=2)
    assert found.measure == "test_accuracy"
    assert found.settings[0].values == pytest.approx((0.8, 0.7))
    assert found.best is None


def test_the_figure_has_a_panel_for_each_field_with_numbers():
    points = [
        Point({"lr": lr, "model": model, "width": "4"}, (0.5, 0.6), 0.55, (0.5, 0.6), best)
        for lr, model, best in (("0.001", "A()", True), ("0.1", "B()", False))
    ]
    (panel,) = sweep_figure.build(points, "validation accuracy").axes
    assert (panel.get_xlabel(), panel.get_xscale()) == ("lr", "log")
    assert panel.get_ylabel() == "Validation accuracy, %"
    assert [text.get_text() for text in panel.texts] == ["best"]
    assert panel.texts[0].xy == (0.001, pytest.approx(55))
    assert panel.get_ylim() == (pytest.approx(48.5), pytest.approx(61.5))
    wide = [point._replace(interval=(-0.4, 1.5)) for point in points]
    assert sweep_figure.build(wide, "x").axes[0].get_ylim() == panel.get_ylim()
    assert sweep_figure.build([point._replace(fields={"m": "A"}) for point in points], "x") is None


def test_settings_of_one_value_are_beside_each_other_and_told_apart():
    points = [
        Point({"lr": lr, "width": width}, (0.5,), 0.5, None, False)
        for lr in ("0.01", "0.1")
        for width in ("4", "8")
    ]
    rates, widths = sweep_figure.build(points, "accuracy").axes
    means = [line.get_xdata()[0] for line in rates.lines if len(line.get_xdata())]
    # On a logarithmic axis, half of a tenth of the distance between 0.01 and 0.1 apart.
    assert means[1] / means[0] == pytest.approx(means[3] / means[2])
    assert (means[0] * means[1]) ** 0.5 == pytest.approx(0.01)
    assert means[1] / means[0] == pytest.approx(10**0.05)
    linear = [line.get_xdata()[0] for line in widths.lines if len(line.get_xdata())]
    assert linear == pytest.approx([3.9, 7.9, 4.1, 8.1])
    assert [text.get_text() for text in rates.get_legend().get_texts()] == ["width=4", "width=8"]
    assert [text.get_text() for text in widths.get_legend().get_texts()] == ["lr=0.01", "lr=0.1"]

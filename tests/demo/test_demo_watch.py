"""A run is followed from its folder while it trains, without writing to it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from cnn_jax.demo.watched_run import WatchedRun
from cnn_jax.modes.explain import explain
from cnn_jax.report import figure_style
from cnn_jax.report.figures import build_first_layer_filters
from cnn_jax.runs.trained_run import restore, run_data
from cnn_jax.runs.workdir import Run


def content(folder):
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def unfinished(small_run, tmp_path):
    """The run as it was after its second epoch."""
    folder = tmp_path / "run"
    shutil.copytree(small_run, folder)
    (folder / "summary.json").unlink()
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:4]))
    steps = sorted(int(path.name) for path in (folder / "checkpoints").iterdir())
    last = folder / "checkpoints" / str(steps[-1])
    last.rename(tmp_path / "later")
    return folder, last, lines


def watched(folder):
    plan = Run(folder).plan()
    test = run_data(plan).test
    return WatchedRun(Run(folder), plan, test.images[0], "test 0", int(test.labels[0]))


def test_checkpoints_and_curves_are_followed(unfinished, small_run, tmp_path, monkeypatch):
    folder, last, lines = unfinished
    before = content(folder)
    page = watched(folder)
    curves, (first,) = page.look()
    assert first.epoch == 2 and not page.finished
    again, moments = page.look()
    assert again is curves and moments == (first,)
    assert content(folder) == before

    (folder / "metrics.jsonl").write_text("".join(lines))
    (tmp_path / "later").rename(last)
    later, moments = page.look()
    assert moments[0] is first and [one.epoch for one in moments] == [2, 3]
    assert not np.array_equal(later, curves)
    kernel = restore(small_run)[1].params["Conv_0"]["kernel"]
    drawn = figure_style.picture(build_first_layer_filters, kernel)
    np.testing.assert_array_equal(moments[1].filters, drawn)

    monkeypatch.setattr("cnn_jax.modes.explain.IMAGES", 1)
    explain(small_run, [0])
    saved = figure_style.Image.open(small_run / "figures" / "activations.png").convert("RGB")
    np.testing.assert_array_equal(moments[1].activations, np.asarray(saved))


def test_a_checkpoint_that_is_removed_meanwhile_is_passed_over(unfinished):
    folder, _, _ = unfinished
    for path in (folder / "checkpoints").rglob("*"):
        if path.is_file() and path.name == "progress.json":
            path.unlink()
    curves, moments = watched(folder).look()
    assert curves is not None and moments == ()


def test_a_finished_run_is_shown_as_it_ended(small_run):
    page = watched(small_run)
    assert page.finished and [one.epoch for one in page.look()[1]] == [3]

"""What is written down of a run, when it is lost in part or replaced by something else."""

from __future__ import annotations

import json
import shutil

import pytest
from program import one_line
from same_run import assert_same_run
from small_run import EXPERIMENT, QUIET

from cnn_jax.errors import RunFailed, UserError
from cnn_jax.storage import digests
from cnn_jax.train import train


@pytest.mark.parametrize("lost", ["the first rows", "the file", "a row, and one is twice there"])
def test_row_23_rows_lost_from_before_the_checkpoint_are_told(lost, finished, unfinished):
    log = unfinished / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    if lost == "the first rows":
        log.write_text("".join(lines[2:]))
    elif lost == "the file":
        log.unlink()
    else:
        log.write_text("".join([lines[1], *lines]))
    before = log.read_text() if log.exists() else None
    with pytest.raises(UserError, match=r"metrics\.jsonl has [025] rows up to step 8, but 4 were"):
        train(EXPERIMENT, unfinished, console=QUIET)
    assert (log.read_text() if log.exists() else None) == before
    log.write_text("".join(lines[:4]))
    train(EXPERIMENT, unfinished, console=QUIET)
    assert_same_run(finished, unfinished)


def test_row_23_a_test_s_row_from_before_does_not_stay(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "summary.json").unlink()
    log = folder / "metrics.jsonl"
    *lines, test = log.read_text().splitlines()
    stale = json.loads(test) | {"loss": 77.0}
    log.write_text("\n".join([*lines, json.dumps(stale)]) + "\n")
    train(EXPERIMENT, folder, console=QUIET)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    (row,) = [row for row in rows if row["split"] == "test"]
    assert row["loss"] == json.loads(test)["loss"]


WRONG = {
    "config.json": [
        [],
        {},
        {"experiment": 3, "recipe": {}, "data": {}},
        {"experiment": "Experiment()", "recipe": [], "data": {}},
        {"data": {}},
        {"data": {"image_shape": "large"}},
    ],
    "manifest.json": [[], {}, {"launches": 3}],
    "summary.json": [[], {}, {"test_accuracy": "high"}, {"dataset": None}, {"train_seconds": True}],
    "metrics.jsonl": [
        [],
        {},
        {"step": "four", "split": "train"},
        {"step": 4, "split": ["train"]},
        {"step": 4, "split": "train"},
        {"step": 4, "split": "validation", "epoch": 1, "loss": 2, "accuracy": "high"},
        {"step": 4, "split": "train", "epoch": 1, "loss": 2, "accuracy": 0.5},
    ],
    "progress.json": [[], {}, {"progress": 3}, {"progress": {}}, {"progress": {"rows": "many"}}],
}


@pytest.mark.parametrize("name", WRONG)
def test_row_23_valid_json_of_another_content_is_one_line_that_names_the_file(
    name, finished, tmp_path, monkeypatch
):
    """What is a dictionary with other keys replaces those of the file that is there."""
    monkeypatch.setattr("cnn_jax.train.run_steps", None)  # not to be reached
    for number, wrong in enumerate(WRONG[name]):
        folder = tmp_path / str(number)
        shutil.copytree(finished, folder)
        path = folder / name
        if name != "summary.json":
            (folder / "summary.json").unlink()
        if name == "progress.json":
            path = folder / "checkpoints" / "12" / name
            shutil.rmtree(folder / "checkpoints" / "8")
        if name == "metrics.jsonl":
            lines = path.read_text().splitlines()[1:]
            path.write_text("\n".join([json.dumps(wrong), *lines]) + "\n")
        else:
            there = json.loads(path.read_text())
            path.write_text(json.dumps(there | wrong if wrong else wrong))
        if name == "progress.json":
            digests.seal(path.parent)
        with pytest.raises((RunFailed, UserError)) as error:
            train(EXPERIMENT, folder, console=QUIET)
        assert name in str(error.value) and one_line(str(error.value)), wrong

"""A checkpoint that was the best on validation, damaged or lost: no other silently is the best."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from program import one_line
from small_run import EXPERIMENT

from cnn_jax import config
from cnn_jax.runs import restore
from cnn_jax.runs.checkpoint import CheckpointError, Checkpoints
from cnn_jax.train import train

STATE = {"kernel": np.zeros(3, np.float32)}


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def checkpoints(tmp_path, warned) -> Checkpoints:
    """The first of three is the best."""
    checkpoints = Checkpoints(tmp_path, keep_best=True, warn=warned.append)
    for step, accuracy in ((1, 0.9), (2, 0.5), (3, 0.6)):
        checkpoints.save(step, STATE, {}, accuracy)
    checkpoints.wait()
    return checkpoints


def test_row_4_a_best_that_is_damaged_is_put_aside_and_not_removed(checkpoints, warned, tmp_path):
    (tmp_path / "1" / "progress.json").write_text("{")
    checkpoints.save(4, STATE, {}, 0.7)
    checkpoints.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.damaged", "3", "4"]
    (line,) = warned
    assert "progress.json has changed" in line and "1.damaged" in line


def test_row_4_a_best_that_is_damaged_is_told_when_a_run_goes_on(checkpoints, warned, tmp_path):
    (tmp_path / "1" / "progress.json").unlink()
    checkpoints.discard_after(3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.damaged", "2", "3"]
    (line,) = warned
    assert "progress.json is missing" in line and "1.damaged" in line


def test_row_5_no_other_takes_the_place_of_a_best_that_is_lost(unfinished, capsys):
    """By the log step 4 was the best, and there is no such checkpoint any more."""
    keeping = dataclasses.replace(EXPERIMENT, keep_best=True)
    written = json.loads((unfinished / "config.json").read_text())
    written["experiment"] = config.to_text(keeping)
    (unfinished / "config.json").write_text(json.dumps(written))
    rows = [json.loads(line) for line in (unfinished / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        if row["split"] == "validation":
            row["accuracy"] = float(row["step"] == 4)
    (unfinished / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    for action in (restore, lambda folder: train(keeping, folder), restore):
        with pytest.raises(CheckpointError, match=r"step 4 was the best.*4 is missing") as error:
            action(unfinished)
        assert one_line(f"error: {error.value}")
    said = " ".join(capsys.readouterr().out.split())
    assert "resumed at step 8" in said and "only if a later step is better" in said
    assert not (unfinished / "summary.json").exists()

"""metrics.jsonl, JSON files and TensorBoard events survive kills and resumes."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from tensorboard_events import scalars_shown

from cnn_jax.runs.metrics_log import MetricsLog
from cnn_jax.runs.tensorboard import TensorBoard
from cnn_jax.storage.json_files import write_json


def row(step, **values):
    return {"step": step, "epoch": step / 10, "split": "train", **values}


@pytest.fixture
def log(tmp_path):
    return MetricsLog(tmp_path / "metrics.jsonl")


def test_a_row_is_one_line_of_json_with_every_digit(log):
    log.append(row(10, loss=0.1 + 0.2, accuracy=np.float32(0.1), images=np.int64(7)))
    log.append(row(20, loss=1e-300))
    lines = log.path.read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [10, 20]
    assert json.loads(lines[0])["loss"] == 0.1 + 0.2
    assert json.loads(lines[0])["accuracy"] == float(np.float32(0.1))
    assert list(json.loads(lines[0])) == ["step", "epoch", "split", "loss", "accuracy", "images"]
    assert log.rows() == [json.loads(line) for line in lines]


def test_numbers_that_are_not_finite_become_null(log):
    log.append(row(1, loss=float("nan"), largest=np.float32("inf"), several=[1.0, -np.inf]))
    assert log.path.read_text().count("null") == 3
    assert log.rows()[0]["loss"] is None


def test_what_is_not_json_is_refused_and_nothing_is_written(log):
    with pytest.raises(TypeError, match="object"):
        log.append(row(1, loss=object()))
    assert log.rows() == []


def test_truncate_takes_back_later_rows_and_keeps_the_bytes_of_the_others(log):
    for step in (10, 20, 30):
        log.append(row(step, loss=1 / step))
    kept = b"".join(log.path.read_bytes().splitlines(keepends=True)[:2])
    log.truncate(20)
    assert log.path.read_bytes() == kept
    log.append(row(30, loss=0.5))
    assert [r["step"] for r in log.rows()] == [10, 20, 30]
    log.truncate(0)
    assert log.path.read_bytes() == b""


@pytest.mark.parametrize("length", range(1, 40, 6))
def test_a_torn_last_line_is_dropped_by_a_new_process(log, length):
    log.append(row(10, loss=1.0))
    log.append(row(20, loss=2.0))
    whole = log.path.read_bytes()
    first = whole.index(b"\n") + 1
    log.path.write_bytes(whole[: first + length])
    assert [r["step"] for r in MetricsLog(log.path).rows()] == [10]

    truncated = MetricsLog(log.path)
    truncated.truncate(10)
    truncated.append(row(20, loss=2.0))
    assert log.path.read_bytes() == whole

    log.path.write_bytes(whole[: first + length])
    MetricsLog(log.path).append(row(20, loss=2.0))
    assert log.path.read_bytes() == whole


def test_a_row_that_only_lost_its_line_end_is_kept(log):
    log.append(row(10, loss=1.0))
    whole = log.path.read_bytes()
    log.path.write_bytes(whole.rstrip(b"\n"))
    MetricsLog(log.path).truncate(10)
    assert log.path.read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_named(log):
    for step in (1, 2, 3):
        log.append(row(step))
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + b"{oops\n" + lines[2])
    with pytest.raises(ValueError, match=r"metrics\.jsonl: line 2 "):
        MetricsLog(log.path).rows()


def test_a_log_that_is_not_there_has_no_rows(log):
    log.truncate(5)
    assert log.rows() == []
    assert not log.path.exists()


def test_rewriting_is_all_or_nothing(log, monkeypatch):
    for step in (1, 2):
        log.append(row(step))
    before = log.path.read_bytes()
    synced = []
    real_fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real_fsync(fd)))

    def killed(*_):
        assert synced, "the new content must be on the disk before it takes the name"
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            log.truncate(1)
    assert log.path.read_bytes() == before
    log.truncate(1)
    assert [r["step"] for r in log.rows()] == [1]
    assert os.listdir(log.path.parent) == [log.path.name]


def test_write_json_keeps_the_order_and_is_strict(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text("old")
    write_json(path, {"b": np.float64("nan"), "a": (1, np.arange(2)), "c": {"é": True}})
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == {"b": None, "a": [1, [0, 1]], "c": {"é": True}}
    assert text.index('"b"') < text.index('"a"')
    assert text.startswith('{\n  "b": null,\n') and text.endswith("}\n")


def test_scalars_are_on_disk_at_once_and_only_measurements_are_written(tmp_path):
    board = TensorBoard(tmp_path / "tensorboard")
    board.scalars(
        {"step": 5, "epoch": 1, "split": "validation", "loss": 1.5, "accuracy": np.float32(0.25)}
        | {"best": True, "bad": float("nan"), "none": None, "note": "text", "count": 3}
    )
    shown = scalars_shown(tmp_path / "tensorboard")
    assert shown == {
        ("validation/loss", 5): 1.5,
        ("validation/accuracy", 5): 0.25,
        ("validation/count", 5): 3,
    }
    board.close()


def test_a_resumed_run_shows_the_scalars_of_an_uninterrupted_one(tmp_path):
    def run(folder, steps, **resume):
        board = TensorBoard(folder, **resume)
        for step in steps:
            board.scalars(row(step, loss=1 / step))
        board.close()

    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    run(straight, range(1, 8))
    run(resumed, range(1, 6))
    run(resumed, (4, 5, 6), purge_step=4)
    run(resumed, (6, 7), purge_step=6)

    assert len(list(resumed.iterdir())) == 3
    assert scalars_shown(resumed) == scalars_shown(straight)
    assert len(scalars_shown(resumed)) == 7


def test_event_files_sort_by_start_even_if_the_clock_went_back(tmp_path, monkeypatch):
    import time

    names = []
    for now in (1_700_000_000.2, 1_700_000_000.9, 1_600_000_000.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        TensorBoard(tmp_path).close()
        names += sorted({path.name for path in tmp_path.iterdir()} - set(names))
    assert len(names) == 3
    assert names == sorted(names)
    assert all("tfevents" in name for name in names)

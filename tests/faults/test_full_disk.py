"""Row 7 of docs/reliability.md: no room for a file, by a limit on the size of files."""

from __future__ import annotations

import contextlib
import os
import resource

import pytest
from program import one_line

from cnn_jax.cli import main
from cnn_jax.runs.metrics_log import MetricsLog
from cnn_jax.runs.tensorboard import TensorBoard
from cnn_jax.storage.files import write_atomically


@contextlib.contextmanager
def room_for(size: int):
    """A block in which no file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_row_7_a_file_without_room_is_named_and_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "out.csv"
    write_atomically(path, b"before")
    with room_for(100), pytest.raises(OSError, match=r"out\.csv'$"):
        write_atomically(path, bytes(200))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]


def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(OSError, match=r"out\.csv'$"):
        write_atomically(tmp_path / "out.csv", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_of_two_processes_that_write_a_file_at_once_one_has_its_way(tmp_path, monkeypatch):
    path, sync = tmp_path / "out.csv", os.fsync

    def meanwhile(descriptor):
        """Another process writes the whole file while this one is at it."""
        with monkeypatch.context() as other:
            other.setattr(os, "fsync", sync)
            other.setattr(os, "getpid", lambda: -1)
            write_atomically(path, b"theirs")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_atomically(path, b"ours")
    (file,) = tmp_path.iterdir()
    assert file == path and file.read_bytes() in (b"ours", b"theirs")


def test_row_7_the_logs_name_their_file(tmp_path):
    row = {"step": 1, "split": "train", **{f"measure_{n}": 0.5 for n in range(20)}}
    log, board = MetricsLog(tmp_path / "metrics.jsonl"), TensorBoard(tmp_path)
    with room_for(150):
        with pytest.raises(OSError, match=r"metrics\.jsonl'$"):
            log.append(row)
        with pytest.raises(OSError, match="tfevents"):
            board.scalars(row)
    board.close()


def test_row_7_a_figure_without_room_is_no_mistake_of_the_user(tmp_path, capsys):
    command = ["run.py", "--mode=volumes", "--config.model=MLP(hidden=(4,))"]
    with room_for(1000):
        assert main([*command, f"--workdir={tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert "volumes.png" in error and one_line(error)
    assert not [*tmp_path.iterdir()]

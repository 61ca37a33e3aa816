"""The command of this process, for processes that it starts."""

from __future__ import annotations

import sys

import pytest

from cnn_jax.runtime.own_command import own_command


@pytest.mark.parametrize(
    "given",
    [
        ["--jobs=2", "--mode=sweep", "--workdir=old", "--seeds=3"],
        ["--mode=sweep", "--jobs", "2", "--seeds=3", "--workdir", "old"],
        ["-jobs=2", "--mode=sweep", "--seeds=3"],
    ],
)
def test_flags_are_left_out_with_their_values(given, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "run.py", *given])
    expected = [sys.executable, "-u", "run.py", "--mode=sweep", "--seeds=3", "--workdir=new"]
    assert own_command({"jobs", "workdir"}, "--workdir=new") == expected

"""Row 35 of docs/reliability.md: several processes share a sweep, and one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from program import TINY, run, start
from same_run import assert_same_run

SWEEP = ("--mode=sweep", "--sweep=optimizer.peak_lr=0.01,0.05", "--seeds=2")
# Enough epochs to be killed in.
ARGUMENTS = (*TINY, "--config.epochs=6", *SWEEP)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@pytest.mark.slow
def test_row_35_runs_of_a_killed_process_are_taken_up_and_none_runs_twice(tmp_path):
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    run(*ARGUMENTS, f"--workdir={whole}")
    processes = [start(*ARGUMENTS, f"--workdir={shared}") for _ in range(2)]
    killed = wait_for(lambda: holder_of_a_begun_run(shared))
    os.kill(killed, signal.SIGKILL)
    codes = [process.wait(timeout=300) for process in processes]
    assert sorted(codes) == [-signal.SIGKILL, 0]
    for number in range(4):
        assert_same_run(whole / f"00{number}", shared / f"00{number}")
    manifests = [json.loads((shared / f"00{n}" / "manifest.json").read_text()) for n in range(4)]
    launches = sorted(len(manifest["launches"]) for manifest in manifests)
    assert launches == [1, 1, 1, 2]  # of the process that was killed, and of the one that went on
    results = [json.loads((folder / "sweep.json").read_text()) for folder in (whole, shared)]
    for result in results:
        for row in result["runs"]:
            row.pop("train_seconds")
    assert results[0] == results[1]


def holder_of_a_begun_run(folder):
    """The process that trains a run which has a checkpoint; None if there is none."""
    for lock in folder.glob("0*/.lock"):
        begun = [*lock.parent.glob("checkpoints/[0-9]*")]
        if begun and not (lock.parent / "summary.json").exists():
            return int(lock.read_text().split()[0])
    return None

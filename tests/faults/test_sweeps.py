"""Row 35 of docs/reliability.md: several processes share a sweep, and one of them is killed."""

from __future__ import annotations

import json
import signal

import pytest
from program import TINY, run, start
from same_run import assert_same_run
from shared_runs import kill_one_that_trains

SWEEP = ("--mode=sweep", "--sweep=optimizer.peak_lr=0.01,0.05", "--seeds=2")
# Enough epochs to be killed in.
ARGUMENTS = (*TINY, "--config.epochs=6", *SWEEP)


@pytest.mark.slow
def test_row_35_runs_of_a_killed_process_are_taken_up_and_none_runs_twice(tmp_path):
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    run(*ARGUMENTS, f"--workdir={whole}")
    processes = [start(*ARGUMENTS, f"--workdir={shared}") for _ in range(2)]
    kill_one_that_trains(shared)
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

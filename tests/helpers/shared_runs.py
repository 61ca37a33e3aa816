"""Kills one of the processes that share runs, while it trains."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def kill_one_that_trains(folder: Path) -> None:
    """Waits for a run that has a checkpoint and has not finished, and kills its process."""
    deadline = time.monotonic() + 120
    while not (holder := _holder_of_a_begun_run(folder)):
        assert time.monotonic() < deadline, "no run has begun"
        time.sleep(0.02)
    os.kill(holder, signal.SIGKILL)


def _holder_of_a_begun_run(folder: Path) -> int | None:
    for lock in folder.glob("0*/.lock"):
        begun = [*lock.parent.glob("checkpoints/[0-9]*")]
        if begun and not (lock.parent / "summary.json").exists():
            return int(lock.read_text().split()[0])
    return None

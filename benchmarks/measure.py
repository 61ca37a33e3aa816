"""What every worker measures, and how: the standard library only, for either Python."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# From a checkout it goes uninstalled too, as run.py does.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnn_jax.runtime import host


def time_steps(step: Callable[[], Any], warm_up: int, steps: int) -> dict[str, list[float]]:
    """Seconds of each call of `step`, which must return only when its work is done."""
    seconds = []
    for _ in range(warm_up + steps):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    return {"warm_up_seconds": seconds[:warm_up], "step_seconds": seconds[warm_up:]}


def report(seconds: dict[str, list[float]], batch_size: int, **facts: Any) -> None:
    """Prints one line of JSON: the speed by the median step, the peak memory, and the facts."""
    median = statistics.median(seconds["step_seconds"])
    row = {
        "images_per_second": batch_size / median,
        "peak_rss_bytes": host.peak_resident_bytes(),
        "batch_size": batch_size,
        "processor": host.processor(),
        "python": platform.python_version(),
        "malloc": os.environ.get("GLIBC_TUNABLES", ""),
    }
    print(json.dumps(row | facts | seconds), flush=True)

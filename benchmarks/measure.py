"""What every worker measures, and how: the standard library only, for either Python."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
        "peak_rss_bytes": peak_rss_bytes(),
        "batch_size": batch_size,
        "processor": processor(),
        "python": platform.python_version(),
        "malloc": os.environ.get("GLIBC_TUNABLES", ""),
    }
    print(json.dumps(row | facts | seconds), flush=True)


def peak_rss_bytes() -> int:
    """The most memory that this process has had resident."""
    # On Linux `ru_maxrss` outlives `exec`, so it would begin with the parent's; VmHWM does not.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

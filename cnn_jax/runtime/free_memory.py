"""Measures the memory that is free for this process. Uses no JAX."""

import contextlib
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes that this process can still use: of the machine, or of its container if that is less.

    Memory that only caches files counts as free.
    """
    import psutil

    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups() -> list[int]:
    """What the control groups of Linux (version 2) around this process leave."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    left = []
    place = _GROUPS / own.strip("/") if own is not None else _GROUPS
    for group in (place, *place.parents):
        if not group.is_relative_to(_GROUPS):
            break
        with contextlib.suppress(OSError, ValueError):  # the root has no limit; "max" is none
            most = int((group / "memory.max").read_text())
            used = int((group / "memory.current").read_text())
            statistics = (group / "memory.stat").read_text().split()
            cached = int(statistics[statistics.index("inactive_file") + 1])
            left.append(max(0, most - used + cached))
    return left

"""The computer that a process runs on. The standard library only: benchmarks use it without JAX."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
from pathlib import Path


def processor() -> str:
    """The processor's name."""
    names = _values("/proc/cpuinfo", "model name")
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_resident_bytes() -> int:
    """The most memory that this process has had resident."""
    # On Linux `ru_maxrss` outlives `exec`, so it would begin with the parent's; VmHWM does not.
    peaks = _values("/proc/self/status", "VmHWM")
    if peaks:
        return int(peaks[0].split()[0]) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def release_freed_memory() -> None:
    """Returns to the system what the process has freed; where the C library can't, nothing is done.

    Compiling a training step leaves hundreds of megabytes behind, which malloc would keep.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _values(path: str, key: str) -> list[str]:
    """What stands behind the colon of a file's lines that begin so; nothing where it is absent."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(key)]

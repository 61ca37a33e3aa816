"""Describes the host. Uses only the standard library: benchmarks use it without JAX."""

import contextlib
import ctypes
import os
import platform
import resource
from pathlib import Path


def processor() -> str:
    """Returns the name of the processor."""
    names = _values("/proc/cpuinfo", "model name")
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_resident_bytes() -> int:
    """Returns the peak resident memory of this process in bytes."""
    # On Linux `ru_maxrss` survives `exec`, so it would include the parent's peak; VmHWM does not.
    peaks = _values("/proc/self/status", "VmHWM")
    if peaks:
        return int(peaks[0].split()[0]) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def release_freed_memory() -> None:
    """Returns freed memory to the system, if the C library can.

    Compiling a training step frees hundreds of megabytes, which malloc would keep.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _values(path: str, key: str) -> list[str]:
    """Returns the text after the colon of the lines that start with a key; [] without the file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(key)]

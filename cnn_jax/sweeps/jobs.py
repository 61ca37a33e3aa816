"""Starts several processes that share a sweep on this machine, each on its part of it."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnn_jax.errors import UserError
from cnn_jax.runtime import host

LOGS = "jobs"


def shares(number: int) -> list[dict[str, str] | set[int]]:
    """What each of so many processes gets: a GPU, as environment variables, or some CPU cores.

    Raises:
      UserError: there are fewer GPUs, or fewer cores, than processes.
    """
    if gpus := _gpus():
        if number > len(gpus):
            raise UserError(f"--jobs={number}: this machine has {len(gpus)} GPUs")
        return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus[:number]]
    if number > host.cores():
        raise UserError(f"--jobs={number}: this process may use {host.cores()} cores")
    if not hasattr(os, "sched_getaffinity"):  # macOS can't divide them
        return [{} for _ in range(number)]
    cores = sorted(os.sched_getaffinity(0))
    each = len(cores) // number
    return [set(cores[each * place : each * (place + 1)]) for place in range(number)]


def _gpus() -> list[str]:
    """Numbers of the NVIDIA GPUs that JAX would use; [] where it would use other devices."""
    platforms = os.environ.get("JAX_PLATFORMS") or "cuda"  # empty: JAX chooses
    if not set(platforms.split(",")) & {"cuda", "gpu"}:
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # As CUDA reads it: only what stands before the first invalid entry, such as -1, is visible.
        entries = (entry.strip() for entry in visible.split(","))
        return list(itertools.takewhile(lambda gpu: gpu and not gpu.startswith("-"), entries))
    found = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*"))
    return sorted((match[1] for match in found if match), key=int)


@contextlib.contextmanager
def started(
    command: Sequence[str], number: int, folder: Path
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A block beside which so many processes run a command; it ends them if it fails.

    Args:
      command: The program and its arguments.
      number: Number of processes.
      folder: The sweep's folder. What process 2 prints goes to jobs/2.log in it.

    Raises:
      UserError: there are too few devices.
    """
    parts = shares(number)
    (folder / LOGS).mkdir(parents=True, exist_ok=True)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for place, share in enumerate(parts):
            environ = {**os.environ, **share} if isinstance(share, dict) else None
            with open(folder / LOGS / f"{place}.log", "ab") as log:
                process = subprocess.Popen(
                    command, env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )
            processes.append(process)
            if isinstance(share, set):
                os.sched_setaffinity(process.pid, share)
        yield processes
    except BaseException:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        raise
    finally:
        for process in processes:
            process.wait()


def last_line(folder: Path, place: int) -> str:
    """The last line that a process printed."""
    try:
        lines = (folder / LOGS / f"{place}.log").read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")

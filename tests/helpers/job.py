"""Runs `run.py` as a job of several processes on this machine."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from program import start


@dataclasses.dataclass
class Process:
    """A process of a job: the parent that a user started, and the child that trains."""

    parent: subprocess.Popen[str]

    @property
    def trainer(self) -> int:
        """The ID of the child."""
        path = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children")
        return int(path.read_text().split()[0])

    def end(self, seconds: float = 120) -> tuple[int, str]:
        """Waits for its exit code and what it printed."""
        try:
            said = self.parent.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            self.destroy()
            raise
        return self.parent.returncode, said

    def destroy(self) -> None:
        """Kills it; nothing is left."""
        if self.parent.poll() is None:
            os.kill(self.trainer, signal.SIGKILL)
            self.parent.kill()
            self.parent.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start_job(
    processes: int, *arguments: str, own: Sequence[str] = (), **environ: str
) -> list[Process]:
    """Starts processes that train together, each with one CPU device.

    Args:
      processes: How many.
      *arguments: Of all.
      own: One argument for each process, if it is not "".
      **environ: Environment variables.
    """
    where = f"--coordinator=127.0.0.1:{free_port()}"
    return [
        Process(
            start(
                "--distributed",
                where,
                f"--num_processes={processes}",
                f"--process_id={number}",
                *arguments,
                *([own[number]] if any(own[number : number + 1]) else []),
                **environ,
            )
        )
        for number in range(processes)
    ]


def run_job(processes: int, *arguments: str, **environ: str) -> list[str]:
    """Runs a job to its end and returns what each process printed."""
    job = start_job(processes, *arguments, **environ)
    ends = [process.end() for process in job]
    assert [code for code, _ in ends] == [0] * processes, ends
    return [said for _, said in ends]


def one_process(devices: int) -> dict[str, str]:
    """The environment of one process with so many simulated devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    return {"XLA_FLAGS": flags, "PJRT_NPROC": "16"}

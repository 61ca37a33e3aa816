"""What a scheduler runs: a command, which stops and is queued again when the scheduler warns."""

import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any

# Seconds. Slurm warns 90 seconds before it kills (submitit's `signal_delay_s`).
TIME_TO_SAVE = 60.0
# Exit codes of a program that a signal of the scheduler has stopped.
STOPPED = (128 + signal.SIGTERM, -signal.SIGTERM)


class Job:
    """Runs a command as a child; submitit calls it, and `checkpoint` when the scheduler warns.

    The child is a process of its own because submitit takes the signals of this one. It ignores
    SIGUSR2, the warning, which Slurm sends to all processes of a job; it gets SIGTERM instead, at
    which a training saves and stops.
    """

    def __init__(self, command: Sequence[str]):
        """Names the command: a program and its arguments, run in the folder of the submission."""
        self.command = tuple(command)

    def __call__(self) -> int:
        """Runs the command to its end; 0.

        Raises:
          RuntimeError: it has failed.
        """
        ignoring = ["/bin/sh", "-c", 'trap "" USR2; exec "$@"', "sh", *self.command]
        self._child = subprocess.Popen(ignoring)
        # A thread waits: a signal's handler that interrupts `Popen.wait` can't call it again.
        with ThreadPoolExecutor(1) as thread:
            self._ended: Future[int] = thread.submit(self._child.wait)
            code = self._ended.result()
        if code in STOPPED:
            # By the scheduler, which is about to end this process too.
            time.sleep(TIME_TO_SAVE)
        if code:
            raise RuntimeError(f"the command has ended with exit code {code}; its output says why")
        return code

    def checkpoint(self) -> Any:
        """Stops the command, after it has saved, and returns what submitit queues again."""
        from submitit.helpers import DelayedSubmission

        self._child.send_signal(signal.SIGTERM)
        try:
            self._ended.result(TIME_TO_SAVE)
        except NotYet:  # what was saved before is kept
            self._child.kill()
            self._ended.result()
        return DelayedSubmission(Job(self.command))

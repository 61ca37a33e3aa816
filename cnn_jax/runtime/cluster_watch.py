"""Ends a process of a job when another one is lost: killed, hanging, or its machine is gone.

The others end within `LOST_SECONDS`, each with a line that names the lost one.
"""

import contextlib
import os
import sys
import threading
import time
from typing import Any, NoReturn

from cnn_jax.runtime import supervisor

# Seconds without a heartbeat after which JAX's coordinator takes a process for lost.
HEARTBEAT_SECONDS = 20
# Seconds without an answer after which a process takes the coordinator for lost: less, since JAX
# aborts a process that has no coordinator.
ANSWER_SECONDS = 15
# A process that is killed or hangs ends the others within this time.
LOST_SECONDS = 40
RESUMES = "the same command on all processes resumes from the last checkpoint"
# Keys under which a process reports its failure, and that it has seen another's.
FAILED, ENDED = "cnn_jax/failed/", "cnn_jax/ended/"


class Watch:
    """Ends this process when another one is lost or has failed.

    Attributes:
      over: Whether the job ends as it should: the watch does nothing more.
    """

    def __init__(self, client: Any, processes: int, own: int):
        """Watches nothing before `start`.

        Args:
          client: JAX's client of the coordinator.
          processes: The number of processes.
          own: The number of this one.
        """
        self.over = False
        self._client, self._processes, self._own = client, processes, own
        self._seen: set[int] = set()
        self._live: set[int] = set()
        self._failures: list[tuple[int, str]] = []
        self._unanswered = 0
        self._parent = os.getppid()

    def start(self) -> None:
        """Starts to watch."""
        for task in (self._ask_who_lives, self._ask_who_has_failed, self._watch):
            threading.Thread(target=task, name="cluster", daemon=True).start()

    def _ask_who_lives(self) -> None:
        """Asks each second; the answer waits for all processes that the coordinator holds alive."""
        everyone = list(range(self._processes))
        while not self.over:
            with contextlib.suppress(Exception):  # the other question shows that no answer comes
                self._live = set(self._client.get_live_nodes(everyone))
                self._seen |= self._live
            time.sleep(1)

    def _ask_who_has_failed(self) -> None:
        """Asks each second; a call to a coordinator that hangs does not return."""
        while not self.over:
            with contextlib.suppress(Exception):  # `_watch` counts the seconds without an answer
                found = self._client.key_value_dir_get(FAILED)
                self._failures = [(int(key.rpartition("/")[2]), line) for key, line in found]
                self._unanswered = 0
            time.sleep(1)

    def _watch(self) -> None:
        # Ticks are counted, not seconds: this thread may be kept from running, too.
        while not self.over:
            time.sleep(1)
            self._unanswered += 1
            reason = self._reason_toend()
            if reason and not self.over:
                time.sleep(0.2)  # what the main thread is printing
                if self.over:
                    return
                _print_last(f"error: {reason}")
                with contextlib.suppress(Exception):
                    self._client.key_value_set(f"{ENDED}{self._own}", "")
                end(1)  # at once: the main thread may wait for the lost process forever

    def _reason_toend(self) -> str:
        others = [(process, line) for process, line in self._failures if process != self._own]
        lost = sorted(self._seen - self._live - {self._own})
        if others:
            process, line = others[0]
            return f"process {process} has failed: {line}"
        if self._unanswered > ANSWER_SECONDS and self._own:
            return f"process 0, the coordinator, no longer answers: {RESUMES}"
        if lost:
            names = ", ".join(map(str, lost))
            which = f"process {names} is" if len(lost) == 1 else f"processes {names} are"
            return f"{which} lost (killed, or hanging, or its machine is gone): {RESUMES}"
        if supervisor.is_child() and os.getppid() != self._parent:
            return "the parent of this process is gone"
        return ""


def _print_last(line: str) -> None:
    """Prints a line after everything that was printed before."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def end(code: int) -> NoReturn:
    """Ends the process without JAX's shutdown, which would wait for the other processes."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)

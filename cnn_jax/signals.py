"""Being asked to stop: SIGTERM and Ctrl-C are noted, and heeded where a run can be left."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import jax

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether this process, or another of the same job, has been asked to stop."""

    def __init__(self) -> None:
        self._signal: int | None = None

    def note(self, number: int) -> None:
        """Takes note of a signal."""
        self._signal = number

    def after(self, step: int) -> int | None:
        """The signal to stop for after this step, if any.

        Args:
          step: Steps taken. Where a job has several processes, each must ask after each step: they
            get the same answer.
        """
        if self._signal is None and jax.distributed.is_initialized():
            # Imported here, as it starts the backend.
            from jax.experimental import multihost_utils

            if multihost_utils.reached_preemption_sync_point(step):
                self._signal = signal.SIGTERM
        return self._signal


@contextlib.contextmanager
def noted() -> Iterator[StopRequest]:
    """A block in which a first SIGTERM or Ctrl-C is only noted; a second one ends the process.

    Under `jax.distributed` SIGTERM is left to JAX, whose processes agree on a step to stop at.
    Outside the main thread, where Python has no say over signals, nothing is changed.
    """
    request = StopRequest()
    before: dict[int, Any] = {}

    def note(number: int, frame: object) -> None:
        del frame
        request.note(number)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    if threading.current_thread() is threading.main_thread():
        left_to_jax = {signal.SIGTERM} if jax.distributed.is_initialized() else set()
        before |= {n: signal.signal(n, note) for n in SIGNALS if n not in left_to_jax}
    try:
        yield request
    finally:
        restore()

"""Being asked to stop: SIGTERM and Ctrl-C, noted where a run can be left, and raised elsewhere."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Seconds. Schedulers and shells signal a whole group, whose members pass it on: what comes so soon
# after a request is the same one.
ONE_REQUEST = 0.5
# When this process was last asked to stop, by `time.monotonic`.
_asked = -math.inf


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


class Terminated(KeyboardInterrupt):
    """SIGTERM: a script's Ctrl-C."""


@contextlib.contextmanager
def noted() -> Iterator[StopRequest]:
    """A block in which a first SIGTERM or Ctrl-C is only noted; a later one is raised."""
    request = StopRequest()
    with _handled(request.note):
        yield request


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """A block in which SIGTERM is raised as `Terminated`, Ctrl-C as KeyboardInterrupt."""
    with _handled(_interrupt):
        yield


def _interrupt(number: int) -> None:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextlib.contextmanager
def _handled(first: Callable[[int], None]) -> Iterator[None]:
    """A block in which `first` is called with the first signal; later ones are raised.

    Under `jax.distributed` SIGTERM is left to JAX, whose processes agree on a step to stop at; a
    signal that the process was started to ignore is ignored. Outside the main thread, where Python
    has no say over signals, nothing is changed.
    """
    heard = False

    def handle(number: int, frame: object) -> None:
        nonlocal heard
        del frame
        if not _another_request():
            return
        if heard:
            _interrupt(number)
        heard = True
        first(number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        left_alone = {number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN}
        if jax.distributed.is_initialized():
            left_alone.add(signal.SIGTERM)
        before |= {n: signal.signal(n, handle) for n in SIGNALS if n not in left_alone}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _another_request() -> bool:
    """Whether a signal that has just come is more than an echo of the one before."""
    global _asked
    now = time.monotonic()
    if now - _asked < ONE_REQUEST:
        return False
    _asked = now
    return True

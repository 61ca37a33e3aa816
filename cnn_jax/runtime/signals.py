"""Handles stop requests (SIGTERM and Ctrl-C): notes them during training, raises them elsewhere."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Seconds. Schedulers and shells signal a process group, whose members may forward the signal:
# signals within this time after a request belong to the same request.
ONE_REQUEST = 0.5
# Time of the last request to stop, by `time.monotonic`.
_last_request = -math.inf


class StopRequest:
    """A request to stop this process, or another one of the same job."""

    def __init__(self) -> None:
        self._signal: int | None = None

    def note(self, number: int) -> None:
        """Records a signal."""
        self._signal = number

    def after(self, step: int) -> int | None:
        """Returns the signal to stop for after this step, or None.

        Args:
          step: Number of completed steps. In a job of several processes, each must call this after
            every step; all get the same answer.
        """
        if self._signal is None and jax.distributed.is_initialized():
            # Imported here, as it starts the backend.
            from jax.experimental import multihost_utils

            if multihost_utils.reached_preemption_sync_point(step):
                self._signal = signal.SIGTERM
        return self._signal


class Terminated(KeyboardInterrupt):
    """SIGTERM, which scripts and schedulers send instead of Ctrl-C."""


@contextlib.contextmanager
def noted() -> Iterator[StopRequest]:
    """A block that records the first SIGTERM or Ctrl-C, and raises later ones."""
    request = StopRequest()
    with _handled(request.note):
        yield request


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """A block that raises SIGTERM as `Terminated` and Ctrl-C as KeyboardInterrupt."""
    with _handled(_interrupt):
        yield


def _interrupt(number: int) -> None:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextlib.contextmanager
def _handled(first: Callable[[int], None]) -> Iterator[None]:
    """A block that calls `first` with the first signal, and raises later ones.

    Under `jax.distributed`, JAX handles SIGTERM: its processes agree on a step at which to stop.
    Signals that the process ignores stay ignored. Outside the main thread, where Python cannot
    handle signals, nothing changes.
    """
    heard = False

    def handle(number: int, frame: object) -> None:
        nonlocal heard
        del frame
        if not _is_new_request():
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


def _is_new_request() -> bool:
    """Whether a signal that arrives now is not part of the previous request."""
    global _last_request
    now = time.monotonic()
    if now - _last_request < ONE_REQUEST:
        return False
    _last_request = now
    return True

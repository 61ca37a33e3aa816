"""Handles requests to stop (SIGTERM, Ctrl-C, a scheduler's warning): notes or raises them."""

import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from cnn_jax.terminal.closed_output import discard

# Signals that come before a kill: SIGUSR1 from schedulers (Slurm's `--signal`, Grid Engine),
# SIGXCPU from the kernel when the CPU time is used up, SIGHUP when the terminal closes.
WARNINGS = (signal.SIGUSR1, signal.SIGXCPU, signal.SIGHUP)
SIGNALS = (signal.SIGTERM, signal.SIGINT, *WARNINGS)
# Seconds. Schedulers and shells signal a process group, whose members may forward the signal:
# signals within this time after a request belong to the same request.
ONE_REQUEST = 0.5
# Time of the last request to stop, by `time.monotonic`.
_last_request = -math.inf


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """A block in which SIGTERM and Ctrl-C end the process, with nothing said.

    It is for minutes in a compiler, during which Python handles no signal, and in which nothing can
    be lost.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, signal.SIG_DFL) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


class StopRequest:
    """A request to stop this process, or another one of the same job."""

    def __init__(self) -> None:
        self._signal: int | None = None
        self._heeded = False

    def note(self, number: int) -> None:
        """Records a signal."""
        self._signal = number
        if _jax_handles_sigterm() and number != signal.SIGTERM:
            signal.raise_signal(signal.SIGTERM)  # JAX passes it on to the other processes

    def after(self, step: int) -> int | None:
        """Returns the signal to stop for after this step, or None.

        Args:
          step: Number of completed steps. In a job of several processes, each must call this after
            every step; all get the same answer.
        """
        if _jax_handles_sigterm() and not self._heeded:
            # Imported here, as it starts the backend.
            from jax.experimental import multihost_utils

            if not multihost_utils.reached_preemption_sync_point(step):
                return None
            self._signal = self._signal or signal.SIGTERM
        self._heeded = self._signal is not None
        return self._signal

    def raise_unheeded(self) -> None:
        """Raises a signal that came after the last call of `after`."""
        if self._signal is not None and not self._heeded and not _jax_handles_sigterm():
            _interrupt(self._signal)


class Terminated(KeyboardInterrupt):
    """A request to stop other than Ctrl-C, such as SIGTERM. `signal` is the signal's number."""

    def __init__(self, number: int):
        super().__init__(signal.strsignal(number))
        self.signal = number


def exit_code(stop: KeyboardInterrupt) -> int:
    """Returns the exit code of a process that a signal stopped: 128 + the signal's number."""
    return 128 + (stop.signal if isinstance(stop, Terminated) else signal.SIGINT)


@contextlib.contextmanager
def noted() -> Iterator[StopRequest]:
    """A block that records the first request to stop, and raises a later SIGTERM or Ctrl-C.

    A request that came too late for `StopRequest.after` is raised at the end of the block.
    """
    request = StopRequest()
    with _handled(request.note):
        yield request
    request.raise_unheeded()


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """A block that raises Ctrl-C as KeyboardInterrupt and the other signals as `Terminated`."""
    with _handled(_interrupt):
        yield


@contextlib.contextmanager
def ignored_afterwards() -> Iterator[None]:
    """A block after which the process ends: it has nothing left to stop.

    Requests are ignored from the end of a block of `raised` in it until the process has ended.
    """
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _ignored)
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # Python drops other handlers as it shuts down


def _ignored(number: int, frame: object) -> None:
    del number, frame


def _interrupt(number: int) -> None:
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


class _Handler:
    """Calls `first` with the first request, and raises SIGTERM or Ctrl-C from the second on.

    Warnings after the first request are ignored, and SIGTERM after a warning is not a second one:
    the kernel repeats SIGXCPU every second, and schedulers send SIGTERM some time after their
    warning. Both may come while the checkpoint is being written.
    """

    def __init__(self, first: Callable[[int], None]):
        self._first = first
        self._requested = self._urgent = False

    def __call__(self, number: int, frame: object) -> None:
        del frame
        if number == signal.SIGHUP:
            _leave_closed_terminal()
        is_warning = number in WARNINGS
        if (is_warning and self._requested) or not _is_new_request():
            return
        if self._urgent:
            _interrupt(number)
        self._urgent = not is_warning
        if not self._requested:
            self._requested = True
            self._first(number)

    def tell(self, outer: Any) -> None:
        """Makes a request known to the handler of the block around this one."""
        if isinstance(outer, _Handler) and self._requested:
            outer._requested, outer._urgent = self._requested, self._urgent


@contextlib.contextmanager
def _handled(first: Callable[[int], None]) -> Iterator[None]:
    """A block in which a `_Handler` handles the signals that `_is_left_alone` does not name.

    Outside the main thread, where Python cannot handle signals, nothing changes.
    """
    handler = _Handler(first)
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before |= {n: signal.signal(n, handler) for n in SIGNALS if not _is_left_alone(n)}
    try:
        yield
    finally:
        for number, outer in before.items():
            handler.tell(outer)
            signal.signal(number, outer)


def _is_left_alone(number: int) -> bool:
    """Whether a signal stays as it is: ignored (`nohup`), or handled by somebody else.

    Under `jax.distributed`, JAX handles SIGTERM: its processes agree on a step at which to stop.
    A program that handles warnings itself, as submitit does to requeue a job, keeps its handler.
    """
    handler = signal.getsignal(number)
    if handler in (signal.SIG_IGN, None):  # None: not a handler of Python
        return True
    if number == signal.SIGTERM:
        return _jax_handles_sigterm()
    ours = handler in (signal.SIG_DFL, _ignored) or isinstance(handler, _Handler)
    return number in WARNINGS and not ours


def _jax_handles_sigterm() -> bool:
    settings: Any = jax.config
    return jax.distributed.is_initialized() and settings.jax_enable_preemption_service


def _leave_closed_terminal() -> None:
    """Discards what will be written to a closed terminal, or a pipe to a program in it that ended.

    It would be an error.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # not a file
            descriptor = stream.fileno()
            if _is_closed(descriptor):
                discard(descriptor)


def _is_closed(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    closed = select.POLLERR | select.POLLHUP | select.POLLNVAL
    if any(event & closed for _, event in poll.poll(0)):
        return True
    try:
        os.write(descriptor, b"")
    except OSError:
        return True
    return False


def _is_new_request() -> bool:
    """Whether a signal that arrives now is not part of the previous request."""
    global _last_request
    now = time.monotonic()
    if now - _last_request < ONE_REQUEST:
        return False
    _last_request = now
    return True

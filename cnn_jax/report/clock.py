"""The seconds of a run: training and compilation, apart, and summed over resumes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Counts training seconds while it runs, less the compilation within.

    Args:
      train_seconds: What earlier processes of the run spent training.
      compile_seconds: What they spent compiling.
    """

    def __init__(self, train_seconds: float = 0.0, compile_seconds: float = 0.0):
        self.compile_seconds = compile_seconds
        self._before = train_seconds
        self._since: float | None = None

    def start(self) -> None:
        """Starts counting training seconds."""
        self._since = time.monotonic()

    def stop(self) -> None:
        """Stops counting them."""
        self._before, self._since = self.seconds(), None

    def seconds(self) -> float:
        """Training seconds so far."""
        running = 0.0 if self._since is None else time.monotonic() - self._since
        return self._before + running

    @contextlib.contextmanager
    def compiling(self) -> Iterator[None]:
        """A block whose time counts as compilation, not as training."""
        start = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - start
            self.compile_seconds += spent
            if self._since is not None:
                self._since += spent

    def as_json(self) -> dict[str, float]:
        """The arguments of the clock of a process that resumes here."""
        return {"train_seconds": self.seconds(), "compile_seconds": self.compile_seconds}

"""Measures training time and compile time separately, summed over resumes."""

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Wall-clock time of a run: training seconds, without the compile time within them."""

    def __init__(self) -> None:
        self.compile_seconds = 0.0
        self._before = 0.0
        self._since: float | None = None

    def add(self, train_seconds: float, compile_seconds: float) -> None:
        """Adds the time that earlier processes of the run spent."""
        self._before += train_seconds
        self.compile_seconds += compile_seconds

    def start(self) -> None:
        """Starts counting training seconds."""
        self._since = time.monotonic()

    def stop(self) -> None:
        """Stops counting training seconds."""
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
        """The arguments of `add`, for a process that resumes from here."""
        return {"train_seconds": self.seconds(), "compile_seconds": self.compile_seconds}

"""How far a long measurement has come: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from cnn_jax.report.bar import Bar
from cnn_jax.report.progress import duration

if TYPE_CHECKING:
    from rich.console import Console

_LINE_SECONDS = 15.0
_TRUST = 0.1


class Work:
    """Shows what is being measured and the time left; used as a context manager.

    Args:
      seconds: How long all of it is expected to take.
      console: Where to write.
      clock: Seconds from any origin, never going back.
    """

    def __init__(
        self, seconds: float, console: Console, clock: Callable[[], float] = time.monotonic
    ):
        self._seconds = max(seconds, 1e-9)
        self._console = console
        self._clock = clock
        self._done = 0.0
        self._start = self._shown = clock()
        self._bar = Bar(console, self._seconds)

    def __enter__(self) -> Work:
        self._start = self._shown = self._clock()
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def done(self, seconds: float, what: str) -> None:
        """Says that what was expected to take so long is done, and what it belonged to."""
        self._done += seconds
        now = self._clock()
        share = min(self._done / self._seconds, 1.0)
        # What was expected counts as much as a tenth of the work does, lest the first parts decide.
        weight = _TRUST * self._seconds
        pace = (now - self._start + weight) / (self._done + weight)
        left = f"{duration(self._seconds * (1 - share) * pace)} left"
        if self._bar.shown:
            self._bar.update(what, self._done, left)
        elif now - self._shown >= _LINE_SECONDS:
            self._shown = now
            text = f"{what}  {share:.0%} done  {left}"
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

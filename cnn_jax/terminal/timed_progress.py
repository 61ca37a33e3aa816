"""Shows the progress of long measurements: a bar on a terminal, lines elsewhere."""

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console

from cnn_jax.terminal.bar import Bar
from cnn_jax.terminal.durations import duration

_REFRESH_SECONDS = 0.2
_LINE_SECONDS = 15.0
# Weight of the estimate against the measured pace, as a fraction of the whole work.
_TRUST = 0.1


class TimedProgress:
    """Shows the current measurement and the time left; used as a context manager.

    Args:
      seconds: Estimated duration of all measurements.
      console: Where to write.
      clock: Monotonic time in seconds.
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

    def __enter__(self) -> Self:
        self._start = self._shown = self._clock()
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def done(self, seconds: float, what: str) -> None:
        """Reports a finished part: its estimated seconds and its name."""
        self._done += seconds
        now = self._clock()
        share = min(self._done / self._seconds, 1.0)
        # The estimate counts as a tenth of the work, so that the first parts do not dominate.
        weight = _TRUST * self._seconds
        pace = (now - self._start + weight) / (self._done + weight)
        left = f"{duration(self._seconds * (1 - share) * pace)} left"
        if self._bar.shown:
            if now - self._shown >= _REFRESH_SECONDS:
                self._shown = now
                self._bar.update(what, self._done, left)
        elif now - self._shown >= _LINE_SECONDS:
            self._shown = now
            text = f"{what}  {share:.0%} done  {left}"
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

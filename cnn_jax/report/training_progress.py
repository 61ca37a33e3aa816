"""Shows the progress of training: a live bar on a terminal, plain lines elsewhere."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Self

from rich.console import Console

from cnn_jax.terminal.bar import Bar
from cnn_jax.terminal.console import RunConsole
from cnn_jax.terminal.durations import duration

_REFRESH_SECONDS = 0.2
_LINE_SECONDS = 15.0
_WINDOW_SECONDS = 20.0


class Progress:
    """Shows a run's epoch, speed, loss, accuracy and time left; used as a context manager.

    On a terminal a bar is redrawn about five times a second and removed at the end; only the
    permanent lines (`epoch_done`, `note`) stay. Elsewhere (a pipe, a notebook, a file) a line
    appears at most every 15 seconds.

    Images per second count only the time between updates. They exclude compilation (before the
    first update), and evaluation and saving (between the last update of an epoch and the first of
    the next).

        with Progress(total_steps=3120, steps_per_epoch=390, images_per_step=128) as progress:
            for step in range(1, 3121):
                ...
                progress.update(step, loss=1.234, accuracy=0.567)
    """

    def __init__(
        self,
        total_steps: int,
        steps_per_epoch: int,
        images_per_step: float,
        start_step: int = 0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Prepares the display; nothing is shown before the `with` block.

        Args:
          total_steps: Steps of the run.
          steps_per_epoch: Steps of one epoch.
          images_per_step: Images in one step, over all devices and hosts; on average, if an epoch's
            last batch is smaller.
          start_step: Steps done before a resume.
          console: Default: standard output. `Console(quiet=True)` is silent.
          clock: Monotonic time in seconds.
        """
        self._total_steps = total_steps
        self._steps_per_epoch = steps_per_epoch
        self._images_per_step = images_per_step
        self._console = console or RunConsole()
        self._clock = clock
        self._step = start_step
        self._loss: float | None = None
        self._accuracy: float | None = None
        self._speed = _Speed()
        self._shown = self._epoch_start = clock()
        self._before_epoch = (0.0, 0)
        self._bar = Bar(self._console, total_steps)

    def __enter__(self) -> Self:
        self._shown = self._epoch_start = self._clock()
        self._bar.start(self._epoch_text(), self._step, "starting")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, step: int, loss: float | None = None, accuracy: float | None = None) -> None:
        """Reports that `step` steps are done; cheap enough for every step.

        Args:
          step: Steps done since the start of the run.
          loss: The latest known loss; None keeps the previous one.
          accuracy: The latest known accuracy, a fraction; None keeps the previous one.
        """
        now = self._clock()
        self._speed.add(now, step)
        self._step = step
        self._loss = self._loss if loss is None else loss
        self._accuracy = self._accuracy if accuracy is None else accuracy
        if self._bar.shown:
            if now - self._shown >= _REFRESH_SECONDS:
                self._shown = now
                self._bar.update(self._epoch_text(), step, "  ".join(self._status()))
        elif now - self._shown >= _LINE_SECONDS:
            place = f"step {step:,}/{self._total_steps:,}"
            self.note("  ".join([self._epoch_text(), place, *self._status()]))

    def epoch_done(self, *rows: Mapping[str, Any]) -> None:
        """Prints a permanent line for an epoch.

        Args:
          *rows: The epoch's rows of `metrics.jsonl`, one per split: "epoch", "split", "loss",
            "accuracy" and optionally "images_per_second" (default: the speed measured here).
        """
        now = self._clock()
        found = {key: value for row in reversed(rows) for key, value in row.items()}
        parts = [self._epoch_text(found.get("epoch"))]
        for row in rows:
            measures = _measures(row.get("loss"), row.get("accuracy"))
            if "balanced_accuracy" in row:
                measures.append(f"(balanced {row['balanced_accuracy']:.1%})")
            parts.append(" ".join([str(row["split"]), *measures]))
        speed = found.get("images_per_second")
        if speed is None:
            speed = self._images_per_second(since=self._before_epoch)
        if speed is not None:
            parts.append(f"{_count(speed)} images/s")
        parts.append(duration(now - self._epoch_start))
        self.note("  ".join(parts))
        self._speed.pause()
        self._before_epoch = self._speed.total
        self._epoch_start = now

    def note(self, text: str) -> None:
        """Prints a permanent line."""
        self._console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._shown = self._clock()

    def _epoch_text(self, epoch: float | None = None) -> str:
        total = round(self._total_steps / self._steps_per_epoch, 1)
        if epoch is None:
            epoch = min(max(self._step - 1, 0) // self._steps_per_epoch + 1, total)
        return f"epoch {round(epoch, 1):>{len(f'{total:g}')}g}/{total:g}"

    def _status(self) -> list[str]:
        parts = []
        speed = self._images_per_second(since=self._speed.window_start)
        if speed is not None:
            parts.append(f"{_count(speed)} images/s")
        measures = _measures(self._loss, self._accuracy)
        if measures:
            parts.append(" ".join(["loss", *measures] if self._loss is not None else measures))
        if speed:
            left = (self._total_steps - self._step) * self._images_per_step / speed
            parts.append(f"{duration(left)} left")
        return parts

    def _images_per_second(self, since: tuple[float, int]) -> float | None:
        seconds = self._speed.total[0] - since[0]
        steps = self._speed.total[1] - since[1]
        return steps * self._images_per_step / seconds if seconds > 0 else None


class _Speed:
    """Totals of working seconds and of steps, now and 20 seconds of work ago."""

    def __init__(self) -> None:
        self.total: tuple[float, int] = (0.0, 0)
        self._last: tuple[float, int] | None = None
        self._samples: deque[tuple[float, int]] = deque([self.total])

    @property
    def window_start(self) -> tuple[float, int]:
        return self._samples[0]

    def add(self, now: float, step: int) -> None:
        if self._last is not None:
            seconds, steps = self.total
            self.total = seconds + now - self._last[0], steps + step - self._last[1]
            if self.total[0] - self._samples[-1][0] >= _REFRESH_SECONDS:
                self._samples.append(self.total)
            while len(self._samples) > 1 and self.total[0] - self._samples[1][0] >= _WINDOW_SECONDS:
                self._samples.popleft()
        self._last = now, step

    def pause(self) -> None:
        """Excludes the time and the steps up to the next `add`."""
        self._last = None


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _measures(loss: float | None, accuracy: float | None) -> list[str]:
    parts = [] if loss is None else [f"{loss:.3f}"]
    return parts if accuracy is None else [*parts, f"{accuracy:.1%}"]

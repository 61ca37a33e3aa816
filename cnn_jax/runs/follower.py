"""The part of a process other than 0 in a run: it trains along, and writes and prints nothing."""

import contextlib
from collections.abc import Iterator
from typing import Any, Self

import jax
import numpy as np

from cnn_jax import config
from cnn_jax.experiment import Plan
from cnn_jax.runs.agreement import check_all_agree
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import cluster
from cnn_jax.training.clock import Clock
from cnn_jax.training.evaluator import Evaluation
from cnn_jax.training.state import TrainState


class Follower:
    """Takes the place of `Recorder`: what was recorded before, process 0 tells.

    Attributes:
      clock: Training and compile time of this process.
      note: "": nothing is noted here.
      summary: The summary of a run that had finished before; None for one that trains.
    """

    def __init__(self, clock: Clock):
        self.clock, self.note = clock, ""
        self.summary: dict[str, Any] | None = cluster.broadcast("summary", None)
        self._rows: list[dict[str, Any]] = []

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        run: Run,
        plan: Plan,
        *,
        recipe: config.Recipe | None,
        teacher: str | None,
        clock: Clock,
        **of_process_0: Any,
    ) -> Iterator[Self]:
        """Checks that process 0 has the same run; the arguments are those of `Recorder.open`.

        Raises:
          UserError: process 0 has another config, other data or other versions of packages.
        """
        del run, of_process_0
        check_all_agree(plan, recipe, teacher)
        yield cls(clock)

    def say(self, *lines: str) -> None:
        """Process 0 prints."""

    def kept_state(self) -> None:
        """Process 0 restores the state of a finished run."""

    def restore_latest(self, shapes: TrainState) -> TrainState:
        """A state of zeros: process 0 shares its own."""
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    def open_logs(self, start: int) -> None:
        """Receives the rows that were recorded before this launch."""
        del start
        self._rows = cluster.broadcast("rows", [])

    @contextlib.contextmanager
    def progress(self, start: int) -> Iterator[None]:
        """A block that counts training time."""
        del start
        self.clock.start()
        yield

    def update(self, step: int, means: dict[str, float]) -> None:
        """Process 0 shows the progress."""

    def rows(self) -> list[dict[str, Any]]:
        """All rows recorded so far, oldest first."""
        return self._rows

    def record(self, row: dict[str, Any]) -> None:
        """Keeps a row of metrics, by which `patience` decides."""
        self._rows.append(row)

    def save(self, step: int, state: TrainState, measure: float | None) -> None:
        """Process 0 saves."""

    def epoch_done(self, rows: list[dict[str, Any]]) -> None:
        """Process 0 shows the rows of an epoch."""

    def state_to_test(self, last: TrainState) -> TrainState:
        """The last state; with `keep_best`, process 0 shares another one."""
        self.clock.stop()
        return last

    def finish(self, test: Evaluation, state: TrainState, reached: int) -> dict[str, Any]:
        """Waits until process 0 has finished the run, and returns its summary."""
        del test, state, reached
        return cluster.broadcast("result", {})

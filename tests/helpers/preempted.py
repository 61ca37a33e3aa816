"""Ends a training in the middle, as a preempted machine does."""

from __future__ import annotations

from cnn_jax.tracking.writer import Writer


class Preempted(BaseException):
    """What ends the process."""


class PreemptedAt(Writer):
    """Ends the training where it logs a step."""

    def __init__(self, step: int, error: type[BaseException] = Preempted):
        self.step, self.error = step, error

    def write(self, row):
        if row["step"] == self.step:
            raise self.error

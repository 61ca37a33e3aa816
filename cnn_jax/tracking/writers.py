"""Calls a run's writers, none of which can end it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cnn_jax.errors import first_line
from cnn_jax.tracking.writer import Ending, Row, TrackedRun, Writer

# Characters of a reason that are printed: an error of a network library can fill a screen.
LONGEST = 200


class Writers(Writer):
    """Passes each call on to several writers. One that fails is reported and left out."""

    def __init__(self, writers: Iterable[Writer], say: Callable[[str], None]):
        """Takes the writers.

        Args:
          writers: Those that are called, in this order.
          say: Prints a line that stays on the screen.
        """
        self._writers, self._say = list(writers), say

    def begin(self, run: TrackedRun, rows: Sequence[Row]) -> None:
        """Passed on to each."""
        self._each(lambda writer: writer.begin(run, rows))

    def write(self, row: Row) -> None:
        """Passed on to each."""
        self._each(lambda writer: writer.write(row))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Passed on to each."""
        self._each(lambda writer: writer.finish(summary))

    def close(self, ending: Ending) -> None:
        """Passed on to each."""
        self._each(lambda writer: writer.close(ending))

    def _each(self, call: Callable[[Writer], None]) -> None:
        for writer in list(self._writers):
            try:
                call(writer)
            except Exception as error:
                self._writers.remove(writer)
                reason = f"{type(error).__name__}: {first_line(error)[:LONGEST]}"
                self._say(
                    f"{type(writer).__name__} is left out from here on ({reason}); the same "
                    "command with its --workdir sends it what is missing"
                )

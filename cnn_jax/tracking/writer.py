"""What a tracker is: an object that receives what a run records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnn_jax.storage.json_files import to_plain

Row = Mapping[str, Any]
# How a launch of a run ends. A run that was stopped resumes, and so may one that has failed.
Ending = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class TrackedRun:
    """A run, as a tracker sees it.

    Attributes:
      identity: The same 32 hexadecimal digits at each launch of the run, and of no other run.
      folder: The run's folder.
      recipe: The name of its recipe; "" without one.
      settings: Its experiment, as text by dotted name: "optimizer.peak_lr": "0.1".
      launch: The facts of this launch, as in manifest.json: commit, software, device, command.
    """

    identity: str
    folder: Path
    recipe: str
    settings: Mapping[str, str]
    launch: Mapping[str, Any]


@dataclass
class Writer:
    """Receives what a run records, like metrics.jsonl and TensorBoard's files.

    A subclass overrides what it needs. The methods are called in this order, by process 0 alone:
    `begin`; `write` for each new row; `finish` if the run finishes; `close`. One that raises an
    exception gets no more calls in this launch; training goes on. At the next launch, `begin` tells
    it all rows so far, also those that it has missed. A writer may serve several runs, one after
    another. The fields of a subclass that is a dataclass can be set by --track.
    """

    def begin(self, run: TrackedRun, rows: Sequence[Row]) -> None:
        """A launch of a run begins.

        Args:
          run: The run.
          rows: What it has recorded before, oldest first. Rows after the step from which it resumes
            are dropped: they are measured again.
        """

    def write(self, row: Row) -> None:
        """A row is recorded: "split", "step", "epoch", and what was measured."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The run has finished, and its folder is complete.

        Args:
          summary: The content of summary.json.
        """

    def close(self, ending: Ending) -> None:
        """The launch ends."""


def scalars(row: Row) -> dict[str, float]:
    """The numbers of a row, named `split/key`; without "step" and "epoch"."""
    return {
        f"{row['split']}/{key}": value
        for key, value in to_plain(row).items()
        if key not in ("step", "epoch")
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
    }

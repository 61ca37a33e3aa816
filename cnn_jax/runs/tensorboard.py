"""Writes rows of metrics as TensorBoard event files, without TensorFlow."""

import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.storage.files import flushing, named
from cnn_jax.tracking.writer import scalars


class TensorBoard:
    """Writes rows of metrics as TensorBoard scalars named `split/key`.

    Records are written directly to the file. `tensorboardX.SummaryWriter` passes them to a thread
    that its `flush` does not wait for, so a kill could lose rows older than the last checkpoint.

    Every file starts with a `SessionLog.START` event. TensorBoard takes the first one in a folder
    as the start of the run; at each later one it hides the events read so far from `purge_step`
    on. Without one in the first file, the first resume would be ignored
    (tensorboard/backend/event_processing/event_accumulator.py,
    `_CheckForRestartAndMaybePurge`).
    """

    def __init__(self, folder: str | os.PathLike[str], purge_step: int = 0):
        """Opens a new event file.

        Args:
          folder: Holds the event files; created if absent.
          purge_step: The first step whose earlier events are superseded; 0 for a new run.
        """
        from tensorboardX.proto import event_pb2
        from tensorboardX.record_writer import RecordWriter

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._events: Any = event_pb2
        self._path = _next_event_file(folder)
        self._file = RecordWriter(str(self._path))
        start = self._events.SessionLog(status=self._events.SessionLog.START)
        self._write({"file_version": "brain.Event:2"}, {"step": purge_step, "session_log": start})

    def scalars(self, row: Mapping[str, Any]) -> None:
        """Writes the numbers of a row at `row["step"]`; they are on disk when this returns.

        "step", "epoch" and values that are not numbers (strings, booleans, None) are skipped.
        """
        from tensorboardX.proto import summary_pb2

        messages: Any = summary_pb2
        values = [
            messages.Summary.Value(tag=tag, simple_value=value)
            for tag, value in scalars(row).items()
        ]
        if values:
            self._write({"step": int(row["step"]), "summary": messages.Summary(value=values)})

    def close(self) -> None:
        """Closes the event file."""
        with named(self._path):
            self._file.close()

    def _write(self, *events: dict[str, Any]) -> None:
        with named(self._path):
            for fields in events:
                event = self._events.Event(wall_time=time.time(), **fields)
                self._file.write(event.SerializeToString())
        with flushing(self._path):
            self._file.flush()


def _next_event_file(folder: Path) -> Path:
    """A name that sorts after the existing event files: TensorBoard reads them in that order.

    If two starts fall in one second, or the clock went back, the time in the name is advanced.
    """
    taken = [re.match(r"events\.out\.tfevents\.(\d+)", path.name) for path in folder.iterdir()]
    newest = max((int(match.group(1)) for match in taken if match), default=0)
    stamp = max(int(time.time()), newest + 1)
    return folder / f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}"

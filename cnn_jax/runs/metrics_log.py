"""A run's numbers on disk: `metrics.jsonl`, JSON files and TensorBoard events.

What is written here survives a kill at any moment: a row is on disk when `append` returns, a
JSON file is either the old one or the new one, and what was logged after the checkpoint that a
run resumes from is taken back.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError
from cnn_jax.storage import json_checks
from cnn_jax.storage.files import named, write_atomically


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Writes a value as indented JSON, atomically and with its keys in their own order.

    Args:
      path: The file; its folder exists.
      value: Mappings, sequences, strings, numbers, booleans, None; NumPy and JAX scalars and
        arrays become numbers and lists, and a number that is not finite becomes null.

    Raises:
      TypeError: If the value holds anything else.
    """
    text = json.dumps(_plain(value), indent=2, allow_nan=False, ensure_ascii=False)
    # A lone surrogate, of a name that is no UTF-8, becomes the escape that JSON has for it.
    write_atomically(Path(path), text.encode(errors="backslashreplace") + b"\n")


# What every row holds, and what else is read of a run's.
_ROW = {"step": int, "split": str}
_MEASURED = {
    "epoch": json_checks.NUMBER,
    "loss": json_checks.NUMBER,
    "accuracy": json_checks.NUMBER,
}
_SPEED = {"images_per_second": json_checks.NUMBER}


class MetricsLog:
    """The rows of a `metrics.jsonl`: one JSON object a line, with its "step" and its "split".

    One process writes a log; others may read it meanwhile.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._count: int | None = None  # as long as this process has not written

    @property
    def count(self) -> int:
        """Number of rows; not read anew by the process that writes the log."""
        return len(self.rows()) if self._count is None else self._count

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds one row; it is on the disk when this returns.

        Floats keep every digit (`float(repr(x)) == x`); one that is not finite becomes null.
        """
        line = json.dumps(_plain(row), allow_nan=False, ensure_ascii=False).encode() + b"\n"
        if self._count is None:
            self.truncate(sys.maxsize)
        count = self.count
        with named(self.path), open(self.path, "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._count = count + 1

    def truncate(self, step: int, without: str | None = None) -> None:
        """Drops the rows later than `step`, and a last line that a kill left torn.

        The rows of the split `without` go as well, whatever their step.

        The rows that stay keep their bytes. The file is replaced in one move, and only where
        something has to go.

        Raises:
          UserError: If a line before the last one is no JSON, or one is no row.
        """
        before = self._read()
        kept = [
            line + b"\n"
            for line, row in self._parsed(before)
            if row["step"] <= step and row["split"] != without
        ]
        after = b"".join(kept)
        if after != before:
            write_atomically(self.path, after)
        self._count = len(kept)

    def check(self, step: int = sys.maxsize, logged: int | None = None) -> None:
        """Raises UserError where the rows of a run up to a step are not as they were logged.

        Args:
          step: The step, such as a checkpoint's.
          logged: How many rows there were then, those of the test left out; None: not known.
        """
        rows = [row for row in self.rows() if row["step"] <= step]
        for row in rows:
            fault = json_checks.fault(
                row, **_MEASURED, **(_SPEED if row["split"] == "train" else {})
            )
            if fault:
                raise UserError(f"{self.path}: a row of step {row['step']:,}: {fault}")
        there = sum(row["split"] != "test" for row in rows)
        if logged not in (None, there):
            raise UserError(
                f"{self.path} has {there} rows up to step {step:,}, and {logged} were logged: put "
                "the file back as it was, or give another --workdir"
            )

    def rows(self) -> list[dict[str, Any]]:
        """Every whole row, oldest first; none if the file does not exist.

        Raises:
          UserError: If a line before the last one is no JSON, or one is no row.
        """
        return [row for _, row in self._parsed(self._read())]

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def _parsed(self, content: bytes) -> list[tuple[bytes, dict[str, Any]]]:
        lines = content.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        rows = []
        for number, line in enumerate(lines, start=1):
            try:
                row = json_checks.loads(line)
            except ValueError:
                if number < len(lines):
                    raise UserError(f"{self.path}: line {number} is no JSON: mend it") from None
                continue  # torn
            fault = json_checks.fault(row, **_ROW)
            if fault:
                raise UserError(f"{self.path}: line {number}: {fault}")
            rows.append((line, row))
        return rows


class TensorBoard:
    """Writes rows of metrics as TensorBoard scalars named `split/key`.

    Records go straight to the file. `tensorboardX.SummaryWriter` hands them to a thread which
    its `flush` does not wait for, so a kill could lose rows older than the last checkpoint.

    Every file opens with a `SessionLog.START` event. TensorBoard takes the first one in a folder
    for the start of the run, and at each later one hides what it has read so far from
    `purge_step` on; a first file without one would swallow the first resume
    (tensorboard/backend/event_processing/event_accumulator.py,
    `_CheckForRestartAndMaybePurge`).
    """

    def __init__(self, folder: str | os.PathLike[str], purge_step: int = 0):
        """Opens a new event file.

        Args:
          folder: Where event files go; made if absent.
          purge_step: The first step whose earlier events are superseded; 0 for a run that starts
            afresh.
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
        """Writes the measurements of a row at `row["step"]`; they are on disk when it returns.

        "step" and "epoch" say where and are no measurements; what is not a number (a text, a
        truth value, None) is passed over.
        """
        from tensorboardX.proto import summary_pb2

        messages: Any = summary_pb2
        values = [
            messages.Summary.Value(tag=f"{row['split']}/{key}", simple_value=value)
            for key, value in _plain(row).items()
            if key not in ("step", "epoch")
            and isinstance(value, (int, float))
            and not isinstance(value, bool)
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
            self._file.flush()


def _next_event_file(folder: Path) -> Path:
    """A new name that sorts after every event file there: TensorBoard reads them by name.

    The name's time is moved on where two starts fall in one second or the clock went back.
    """
    taken = [re.match(r"events\.out\.tfevents\.(\d+)", path.name) for path in folder.iterdir()]
    newest = max((int(match.group(1)) for match in taken if match), default=0)
    stamp = max(int(time.time()), newest + 1)
    return folder / f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}"


def _plain(value: Any) -> Any:
    """A value as JSON's own types; NumPy and JAX values are told by their `tolist`."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    raise TypeError(f"cannot write {type(value).__name__} {value!r} as JSON")

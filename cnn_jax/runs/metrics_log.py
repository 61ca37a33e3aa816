"""The rows of `metrics.jsonl`: appended durably, repaired after a kill, checked when read.

A row is on disk when `append` returns. The rows after the checkpoint that a run resumes from are
removed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError
from cnn_jax.storage import json_checks
from cnn_jax.storage.files import named, write_atomically
from cnn_jax.storage.json_files import to_plain

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
        line = json.dumps(to_plain(row), allow_nan=False, ensure_ascii=False).encode() + b"\n"
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

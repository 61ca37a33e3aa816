"""The rows of `metrics.jsonl`: appended durably, repaired after a kill, checked when read.

A row is on disk when `append` returns. The rows after the checkpoint that a run resumes from are
removed.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError
from cnn_jax.storage import json_checks
from cnn_jax.storage.files import flush, named, write_atomically
from cnn_jax.storage.json_files import to_plain

# The keys that are read from every row, and from those of a run.
_ROW = {"step": int, "split": str}
_MEASURED = {
    "epoch": json_checks.NUMBER,
    "loss": json_checks.NUMBER,
    "accuracy": json_checks.NUMBER,
}
_SPEED = {"images_per_second": json_checks.NUMBER}


class MetricsLog:
    """A `metrics.jsonl`: one JSON object per line, with at least "step" and "split".

    One process writes the log; others may read it at the same time.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._count: int | None = None  # None until this process writes

    @property
    def count(self) -> int:
        """Number of rows; the process that writes the log does not read it again."""
        return len(self.rows()) if self._count is None else self._count

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends a row; it is on disk when this returns.

        Floats keep every digit (`float(repr(x)) == x`); NaN and infinity become null.
        """
        line = json.dumps(to_plain(row), allow_nan=False, ensure_ascii=False).encode() + b"\n"
        if self._count is None:
            self.truncate(sys.maxsize)
        count = self.count
        with named(self.path), open(self.path, "ab") as file:
            file.write(line)
            file.flush()
            flush(file.fileno(), self.path)
        self._count = count + 1

    def truncate(self, step: int, without: str | None = None) -> None:
        """Removes the rows after `step`, those of the split `without`, and an incomplete last line.

        The other rows keep their bytes. The file is replaced atomically, and only if it changes.

        Raises:
          UserError: a line is not JSON, or not a row.
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
        """Raises UserError if the rows up to a step are damaged, or not all there.

        Args:
          step: The step, such as a checkpoint's.
          logged: Number of rows at that step, without those of the test; None: unknown.
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
                f"{self.path} has {there} rows up to step {step:,}, but {logged} were logged: "
                "restore the file, or give another --workdir"
            )

    def rows(self) -> list[dict[str, Any]]:
        """Every complete row, oldest first; none if the file does not exist.

        Raises:
          UserError: a line is not JSON, or not a row.
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
                    raise UserError(f"{self.path}: line {number} is not JSON: repair it") from None
                continue  # incomplete: the process was killed while writing it
            fault = json_checks.fault(row, **_ROW)
            if fault:
                raise UserError(f"{self.path}: line {number}: {fault}")
            rows.append((line, row))
        return rows

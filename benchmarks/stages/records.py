"""The file of an accelerator's rows: results/accelerator/DEVICE.json."""

import json
import time
from pathlib import Path
from typing import Any

from cnn_jax.storage.json_files import write_json

ATTEMPTS = 3


class Records:
    """Rows by name, and how often each task was started; every change is on disk at once.

    Args:
      path: The JSON file; created with the first row.
    """

    def __init__(self, path: Path):
        self.path = path

    def _read(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"rows": {}, "attempts": {}, "finished": []}
        return json.loads(self.path.read_bytes()) if self.path.exists() else empty

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows recorded so far, by name."""
        return self._read()["rows"]

    def add(self, name: str, row: dict[str, Any]) -> None:
        """Records a row, in place of an older one of this name."""
        content = self._read()
        content["rows"][name] = row
        self._write(content)

    def start(self, task: str) -> bool:
        """Counts an attempt at a task; False if it is finished, or has failed too often."""
        content = self._read()
        attempts = content["attempts"].get(task, 0)
        if task in content["finished"] or attempts >= ATTEMPTS:
            return False
        content["attempts"][task] = attempts + 1
        self._write(content)
        return True

    def finish(self, task: str) -> None:
        """Marks a task as finished: later calls skip it, and an earlier failure is forgotten."""
        content = self._read()
        content["rows"].pop(f"{task}/failed", None)
        content["finished"].append(task)
        self._write(content)

    def _write(self, content: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, content | {"written": time.strftime("%Y-%m-%d %H:%M:%S")})

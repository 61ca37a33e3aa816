"""A progress bar on a terminal; draws nothing elsewhere."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column


class Bar:
    """A text, a bar that fills the line, and another text; removed at the end.

    Args:
      console: Draws only if this is a terminal.
      total: Value of a full bar.

    Attributes:
      shown: Whether the bar is visible: on a terminal, from `start` to `stop`.
    """

    def __init__(self, console: Console, total: float):
        self._console, self._total = console, total
        self._bar: Any = None
        self._task: Any = None

    @property
    def shown(self) -> bool:
        return self._bar is not None

    def start(self, before: str = "", completed: float = 0, after: str = "") -> None:
        """Draws the bar, if this is a terminal."""
        if not self._console.is_interactive:
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.fields[after]}", markup=False),
        )
        self._bar = Progress(
            *columns, console=self._console, auto_refresh=False, expand=True, transient=True
        )
        self._task = self._bar.add_task(before, total=self._total, completed=completed, after=after)
        self._bar.start()

    def update(self, before: str, completed: float, after: str) -> None:
        """Redraws the bar; it must be shown."""
        self._bar.update(
            self._task, description=before, completed=completed, after=after, refresh=True
        )

    def stop(self) -> None:
        """Removes the bar, if there is one."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

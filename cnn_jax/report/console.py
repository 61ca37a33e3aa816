"""Standard output, which may go away before a run ends."""

from __future__ import annotations

import os
import sys

from rich.console import Console


class RunConsole(Console):
    """A console without which the program goes on: `run.py | head` costs no step of a training."""

    def on_broken_pipe(self) -> None:
        """Writes no more; rich itself would end the program."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

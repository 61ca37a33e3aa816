"""A console on standard output that survives a closed pipe."""

import os
import sys

from rich.console import Console


class RunConsole(Console):
    """A console whose closed pipe does not stop the program: `run.py | head` trains to the end."""

    def on_broken_pipe(self) -> None:
        """Stops writing; rich itself would end the program."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

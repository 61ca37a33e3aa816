"""A console on standard output that survives a closed pipe."""

import sys
from typing import Any

from rich.console import Console

from cnn_jax.terminal.closed_output import discard


class RunConsole(Console):
    """A console whose closed pipe does not stop the program: `run.py | head` trains to the end.

    It prints names as they are: rich would turn the `:x:` of "folder:x: 80 images" into a picture,
    and drop the `[a]` of "runs/[a]" as markup.
    """

    def __init__(self, **options: Any):
        super().__init__(emoji=False, markup=False, **options)

    def on_broken_pipe(self) -> None:
        """Stops writing; rich itself would end the program."""
        self.quiet = True
        discard(sys.stdout.fileno())

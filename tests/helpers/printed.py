"""What a terminal would show."""

from __future__ import annotations

import io

from rich.console import Console

from cnn_jax.analysis.volumes import Table
from cnn_jax.report.volume_table import WIDEST, to_rich


def to_text(table: Table) -> str:
    """A net's table of volumes, without colours."""
    console = Console(file=io.StringIO(), width=WIDEST, color_system=None)
    with console.capture() as capture:
        console.print(to_rich(table))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n") + "\n"

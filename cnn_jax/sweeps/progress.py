"""Shows the runs of a sweep while other processes train them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.live import Live

from cnn_jax.report import tables
from cnn_jax.sweeps.sweep_folder import Member

# Of a live table: those that are being trained, and the last that have ended.
MOST_ROWS = 20


@contextlib.contextmanager
def shown(members: Sequence[Member], out: Any) -> Iterator[Callable[[], None]]:
    """A block with a function that shows the state of the runs anew.

    On a terminal it is a live table; elsewhere, a line for each run that has ended.

    Args:
      members: The runs.
      out: A `rich.console.Console`.
    """
    if out.is_terminal:
        with Live(console=out, transient=True) as live:
            yield lambda: live.update(_table(members))
        return
    told: set[str] = set()

    def tell() -> None:
        for member in members:
            if member.name not in told and member.ended():
                told.add(member.name)
                out.print(
                    f"{member.run.folder.name}  {member.name}  {_result(member)}", soft_wrap=True
                )

    yield tell


def _table(members: Sequence[Member]) -> Any:
    rows = [(member, member.state()) for member in members]
    ended = sum(state in ("finished", "diverged") for _, state in rows)
    order = {"unfinished": 0, "finished": 1, "diverged": 1, "waiting": 2}
    first = sorted(rows, key=lambda row: order[row[1]])[:MOST_ROWS]
    title = f"{ended} of {len(rows)} runs have ended"
    return tables.table(
        ["folder", "run", "state", "validation"],
        [[m.run.folder.name, m.name, state, _result(m)] for m, state in first],
        title,
    )


def _result(member: Member) -> str:
    if message := member.divergence():
        return f"diverged: {message}"
    seen = [row for row in member.run.metrics.rows() if row["split"] == "validation"]
    return f"{seen[-1]['accuracy']:.2%} at epoch {seen[-1]['epoch']:g}" if seen else ""

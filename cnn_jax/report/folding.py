"""Shortens a table of layers: joins equal layers, blocks or stages into one row."""

import dataclasses
import itertools
import re
from collections.abc import Hashable, Sequence

from cnn_jax.analysis.volumes import Row


def folded(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """Joins rows until at most `most` are left, if possible, by the finest of these foldings.

    No folding; consecutive equal layers joined; the layers of each outer module joined, then
    consecutive equal ones; outer modules of one kind with the same height and width joined.
    """
    lines = rows
    for coarser in (_equal, _blocks, _stages):
        if len(lines) <= most:
            break
        lines = coarser(rows)
    return lines


def _equal(rows: Sequence[Row]) -> list[Row]:
    keys = [(row.what, row.input, row.volume, row.weights, row.biases) for row in rows]
    return [_joined(run, f"{len(run)} x {run[0].what}") for run in _runs(rows, keys)]


def _blocks(rows: Sequence[Row]) -> list[Row]:
    return _equal(_modules(rows))


def _stages(rows: Sequence[Row]) -> list[Row]:
    modules = _modules(rows)
    keys = [(re.sub(r"_\d+$", "", module.name), module.volume[:2]) for module in modules]
    return [_joined(run, f"{len(run)} blocks") for run in _runs(modules, keys)]


def _modules(rows: Sequence[Row]) -> list[Row]:
    """The layers of each outer module as one row."""
    names = [row.name.partition("/")[0] if "/" in row.name else "" for row in rows]
    for place in range(1, len(rows) - 1):
        # A pool has no module: it belongs to the one around it.
        if not names[place] and names[place - 1] == names[place + 1]:
            names[place] = names[place - 1]
    runs = _runs(rows, [name or place for place, name in enumerate(names)])
    joined = [_joined(run, f"{len(run)} layers") for run in runs]
    return [
        dataclasses.replace(row, name=row.name.partition("/")[0]) if len(run) > 1 else row
        for row, run in zip(joined, runs, strict=True)
    ]


def _runs(rows: Sequence[Row], keys: Sequence[Hashable]) -> list[list[Row]]:
    """Splits the rows where the key changes."""
    pairs = itertools.groupby(zip(keys, rows, strict=True), lambda pair: pair[0])
    return [[row for _, row in run] for _, run in pairs]


def _joined(rows: Sequence[Row], what: str) -> Row:
    """Joins rows: the first one's name, the last one's volume, their numbers added.

    The receptive field is the largest: that of a shortcut, which may be last, is smaller.
    """
    if len(rows) == 1:
        return rows[0]
    numbers = {
        key: sum(getattr(row, key) for row in rows)
        for key in ("values", "weights", "biases", "multiply_adds", "count")
    }
    fields = [row.receptive_field for row in rows if row.receptive_field]
    full = [row.fully_connected for row in rows if row.fully_connected is not None]
    # A squeeze-and-excitation branch ends in a volume of one pixel, which is not the block's.
    last = [row for row in rows if row.kind == "conv"][-1:] or rows[-1:]
    return dataclasses.replace(
        rows[-1],
        name=rows[0].name,
        what=what,
        kind=last[0].kind,
        input=rows[0].input,
        volume=last[0].volume,
        receptive_field=max(fields) if fields else None,
        fully_connected=sum(full) if full else None,
        **numbers,
    )

"""A long table of layers, made short: runs of equal layers, blocks or stages as one line."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Hashable, Sequence

from cnn_jax.analysis.volumes import Row


def folded(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """The rows as `most` lines, if that can be had; in the finest of these ways that gives so few.

    Every layer; runs of equal layers joined; the layers of each of the net's outer modules joined,
    and then runs of equal ones; outer modules of one kind at one height and width joined.
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
        # A pool has no module's name: it is part of the one around it.
        if not names[place] and names[place - 1] == names[place + 1]:
            names[place] = names[place - 1]
    runs = _runs(rows, [name or place for place, name in enumerate(names)])
    joined = [_joined(run, f"{len(run)} layers") for run in runs]
    return [
        dataclasses.replace(row, name=row.name.partition("/")[0]) if len(run) > 1 else row
        for row, run in zip(joined, runs, strict=True)
    ]


def _runs(rows: Sequence[Row], keys: Sequence[Hashable]) -> list[list[Row]]:
    """The rows, cut where the key changes."""
    pairs = itertools.groupby(zip(keys, rows, strict=True), lambda pair: pair[0])
    return [[row for _, row in run] for _, run in pairs]


def _joined(rows: Sequence[Row], what: str) -> Row:
    """One row for all, with the first's name and the last's volume, their numbers added.

    It sees as much as the layer that sees most: a shortcut, which may be the last, sees less.
    """
    if len(rows) == 1:
        return rows[0]
    numbers = {
        key: sum(getattr(row, key) for row in rows)
        for key in ("weights", "biases", "multiply_adds", "count")
    }
    fields = [row.receptive_field for row in rows if row.receptive_field]
    full = [row.fully_connected for row in rows if row.fully_connected is not None]
    # What decides on scales ends in a volume of one pixel, which is not the block's.
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

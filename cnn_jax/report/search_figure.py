"""Draws the trials of a search: in their order, and over each field that was searched."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnn_jax.report import colours, figure_style
from cnn_jax.report.names import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
# Letters that fit side by side below a panel.
LETTERS = 24


class Point(NamedTuple):
    """A trial with a value.

    Attributes:
      number: Its number.
      fields: The value of each field: a number, or the text of a choice.
      value: The accuracy of its last epoch, as a fraction.
      pruned: Whether it was given up after that epoch.
      best: Whether it is the best of the search.
    """

    number: int
    fields: Mapping[str, float | str]
    value: float
    pruned: bool
    best: bool


class Field(NamedTuple):
    """A field that was searched.

    Attributes:
      name: Its name.
      log: Whether its numbers are drawn on a logarithmic axis.
      choices: What it could be, as text; () for numbers.
    """

    name: str
    log: bool
    choices: tuple[str, ...]


def draw(
    points: Sequence[Point], fields: Sequence[Field], measure: str, path: str | os.PathLike[str]
) -> bool:
    """Draws the trials to a PNG file; returns False if there is none.

    Args:
      points: The trials that have finished or were pruned, in the order of their numbers.
      fields: The fields.
      measure: Name of the accuracy.
      path: The file.
    """
    return figure_style.save(path, build, points, fields, measure)


def build(points: Sequence[Point], fields: Sequence[Field], measure: str) -> Figure | None:
    """The figure of `draw`, in matplotlib's current style."""
    if not points:
        return None
    number = 1 + len(fields)
    columns = 2 if number == 4 else min(COLUMNS, number)
    rows = math.ceil(number / columns)
    made = figure_style.figure(0.4 + 2.4 * rows)
    panels = made.subplots(rows, columns, sharey=True, squeeze=False)
    order, *rest = panels.flat
    _draw(order, points, [point.number for point in points], labelled=True)
    _best_so_far(order, points)
    order.set_xlabel("trial")
    order.locator_params("x", integer=True)
    made.legend(loc="outside upper center", ncols=4, frameon=False)
    for axes, field in zip(rest, fields, strict=False):
        _over_field(axes, points, field)
    for axes in rest[len(fields) :]:
        axes.remove()
    for axes in panels[:, 0]:
        axes.set_ylabel(f"{measure[0].upper()}{measure[1:]}, %")
    return made


def _over_field(axes: Axes, points: Sequence[Point], field: Field) -> None:
    values = [point.fields[field.name] for point in points]
    if field.choices:
        labels = shorten(field.choices, 12)
        slanted = sum(map(len, labels)) > LETTERS
        axes.set_xticks(
            range(len(labels)),
            shorten(field.choices, 20) if slanted else labels,
            rotation=25 if slanted else 0,
            ha="right" if slanted else "center",
            rotation_mode="anchor",
        )
        axes.set_xlim(-0.5, len(field.choices) - 0.5)
        values = [field.choices.index(str(value)) for value in values]
    _draw(axes, points, [float(value) for value in values])
    if field.log:
        axes.set_xscale("log")
    elif not field.choices and all(isinstance(value, int) for value in values):
        axes.locator_params("x", integer=True)
    axes.set_xlabel(field.name)


def _draw(
    axes: Axes, points: Sequence[Point], places: Sequence[float], *, labelled: bool = False
) -> None:
    kinds = (
        ("finished", lambda point: not point.pruned and not point.best, "o", colours.BLUE, True),
        ("pruned, at its last epoch", lambda point: point.pruned, "o", colours.GREY, False),
        ("best", lambda point: point.best, "D", colours.VERMILLION, True),
    )
    for label, belongs, marker, colour, filled in kinds:
        chosen = [pair for pair in zip(places, points, strict=True) if belongs(pair[1])]
        if chosen:
            axes.scatter(
                [place for place, _ in chosen],
                [100 * point.value for _, point in chosen],
                s=20,
                marker=marker,
                edgecolors=colour,
                facecolors=colour if filled else "none",
                alpha=0.8,
                zorder=3,
                label=label if labelled else None,
            )


def _best_so_far(axes: Axes, points: Sequence[Point]) -> None:
    finished = [point for point in points if not point.pruned]
    if finished:
        best = itertools.accumulate((100 * point.value for point in finished), max)
        numbers = [point.number for point in finished]
        axes.step(
            numbers, [*best], where="post", color=colours.GREEN, linewidth=1, label="best so far"
        )

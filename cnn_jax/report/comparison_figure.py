"""Draws groups of runs: each run as a point, the mean of each group and its interval."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnn_jax.report import colours, figure_style
from cnn_jax.report.names import shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Row(NamedTuple):
    """A group of runs.

    Attributes:
      name: Its name.
      values: Test accuracies in percent.
      mean: Their mean.
      interval: The ends of its 95 % confidence interval; None for a single run.
    """

    name: str
    values: Sequence[float]
    mean: float
    interval: tuple[float, float] | None


def draw(rows: Sequence[Row], path: str | os.PathLike[str]) -> bool:
    """Draws the groups to a PNG file; returns whether it was drawn."""
    return figure_style.save(path, build, rows)


def build(rows: Sequence[Row]) -> Figure:
    """The figure of `draw`, in matplotlib's current style."""
    made = figure_style.figure(1.2 + 0.45 * len(rows))
    axes = made.subplots()
    for place, row in enumerate(rows):
        axes.scatter(
            row.values, [place] * len(row.values), s=16, color=colours.BLUE, alpha=0.6, zorder=3
        )
        if row.interval:
            axes.plot(row.interval, [place] * 2, color=colours.VERMILLION, linewidth=2)
        axes.plot(row.mean, place, "|", color=colours.VERMILLION, markersize=14, markeredgewidth=2)
    axes.set_yticks(range(len(rows)), shorten([row.name for row in rows], 40))
    axes.invert_yaxis()
    axes.margins(y=0.5 / len(rows))
    axes.set_xlabel("Test accuracy in %: runs (blue), mean and 95 % interval (orange)")
    return made

"""Draws the accuracy of a sweep over each field that has numbers."""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnn_jax.report import colours, figure_style
from cnn_jax.report.names import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# From this ratio of the largest to the smallest value on, an axis is logarithmic.
WIDE = 10
# Of the settings with the same other fields, as far as there are so many.
COLOURS = (colours.BLUE, colours.VERMILLION, colours.GREEN, colours.ORANGE, colours.PURPLE)


class Point(NamedTuple):
    """A setting of a sweep.

    Attributes:
      fields: The value of each field, as text.
      values: The accuracies of its runs, as fractions.
      mean: Their mean.
      interval: The 95 % confidence interval of the mean; None for a single run.
      best: Whether it is the best of the sweep.
    """

    fields: Mapping[str, str]
    values: Sequence[float]
    mean: float
    interval: tuple[float, float] | None
    best: bool


def draw(points: Sequence[Point], measure: str, path: str | os.PathLike[str]) -> bool:
    """Draws a panel for each field with at least two numbers; returns whether there is one.

    Args:
      points: The settings.
      measure: Name of the accuracy.
      path: The PNG file.
    """
    return figure_style.save(path, build, points, measure)


def build(points: Sequence[Point], measure: str) -> Figure | None:
    """The figure of `draw`, in matplotlib's current style."""
    numbers = {field: found for field in _fields(points) if (found := _numbers(points, field))}
    if not numbers:
        return None
    made = figure_style.figure(2.6)
    panels = made.subplots(1, len(numbers), sharey=True, squeeze=False)[0]
    for axes, (field, values) in zip(panels, numbers.items(), strict=True):
        log = min(values) > 0 and max(values) >= WIDE * min(values)
        if log:
            axes.set_xscale("log")
        _draw(axes, points, _side_by_side(values, log), _others(points, field))
        axes.set_xlabel(field)
    seen = [100 * value for point in points for value in (*point.values, point.mean)]
    margin = max(0.5, 0.15 * (max(seen) - min(seen)))
    panels[0].set_ylim(min(seen) - margin, max(seen) + margin)  # wide intervals are cut off
    panels[0].set_ylabel(f"{measure[0].upper()}{measure[1:]}, %")
    return made


def _fields(points: Sequence[Point]) -> list[str]:
    return list(points[0].fields) if points else []


def _numbers(points: Sequence[Point], field: str) -> list[float]:
    """The field's value of each point; [] if they are no numbers, or all the same."""
    try:
        found = [float(point.fields[field]) for point in points]
    except ValueError:
        return []
    return found if len(set(found)) > 1 else []


def _side_by_side(values: Sequence[float], log: bool) -> list[float]:
    """Where to draw each setting: those of one value beside each other, in a tenth of the axis."""
    shown = [math.log(value) if log else value for value in values]
    distinct = sorted(set(shown))
    gap = min(b - a for a, b in itertools.pairwise(distinct))
    room = min(gap / 2, (distinct[-1] - distinct[0]) / 10)
    seen: Counter[float] = Counter()
    places = []
    for value in values:
        shift = room * ((seen[value] + 0.5) / values.count(value) - 0.5)
        seen[value] += 1
        places.append(value * math.exp(shift) if log else value + shift)
    return places


def _others(points: Sequence[Point], field: str) -> list[str]:
    """What the other fields are at each point: "" if they don't differ, or in too many ways."""
    texts = [", ".join(f"{k}={v}" for k, v in p.fields.items() if k != field) for p in points]
    return texts if 1 < len(set(texts)) <= len(COLOURS) else [""] * len(points)


def _draw(
    axes: Axes, points: Sequence[Point], places: Sequence[float], others: Sequence[str]
) -> None:
    chosen = dict(zip(dict.fromkeys(others), COLOURS, strict=False))
    labels = shorten([*chosen], 30)
    for point, place, other in zip(points, places, others, strict=True):
        values, colour = [100 * value for value in point.values], chosen[other]
        axes.scatter([place] * len(values), values, s=14, color=colour, alpha=0.5, zorder=2)
        if point.interval:
            axes.plot([place] * 2, [100 * end for end in point.interval], color=colour, zorder=1)
        axes.plot(place, 100 * point.mean, "D", markersize=5, color=colour, zorder=3)
        if point.best:
            axes.annotate(
                "best", (place, 100 * point.mean), xytext=(6, 4), textcoords="offset points"
            )
    if len(chosen) > 1:
        for label, colour in zip(labels, chosen.values(), strict=True):
            axes.plot([], [], "D", markersize=5, color=colour, label=label)
        axes.legend(frameon=False, fontsize=8)

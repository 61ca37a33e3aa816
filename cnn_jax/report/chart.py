"""Draws curves of several runs as inline SVG, coloured by the style sheet of the page."""

import dataclasses
from collections.abc import Callable, Sequence
from html import escape

# SVG units, about a pixel each: the page shows a chart 20 to 30 rem wide.
WIDTH, HEIGHT = 400, 260
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 42
COLOURS = 8


@dataclasses.dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
      name: Shown when the mouse points at the curve.
      colour: Index of its run; the colours of the page repeat after 8.
      points: Pairs (x, y), ordered by x.
      dashed: Whether the line is dashed.
    """

    name: str
    colour: int
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def chart(title: str, curves: Sequence[Curve], *, percent: bool = False) -> str:
    """A chart of curves over epochs, with the CSS classes `c0` to `c7`; "" if all are empty.

    Args:
      title: Name of y.
      curves: The curves.
      percent: Whether y is a fraction, labelled in per cent.
    """
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return ""
    x_ticks, x_at = _axis([x for curve in curves for x, _ in curve.points], LEFT, WIDTH - RIGHT)
    y_ticks, y_at = _axis([y for curve in curves for _, y in curve.points], HEIGHT - BOTTOM, TOP)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for y in y_ticks:
        label = f"{100 * y:g} %" if percent else f"{y:g}"
        height = y_at(y)
        parts.append(f'<path class="grid" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{height + 4:.1f}" class="end">{label}</text>')
    for x in x_ticks:
        parts.append(
            f'<text x="{x_at(x):.1f}" y="{HEIGHT - BOTTOM + 17}" class="middle">{x:g}</text>'
        )
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" class="end">epoch</text>')
    for curve in curves:
        line = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in curve.points)
        style = f"curve c{curve.colour % COLOURS}{' dashed' if curve.dashed else ''}"
        hint = f"<title>{escape(curve.name)}</title>"
        if len(curve.points) == 1:
            across, down = line.split(",")
            dot = f'<circle class="{style}" cx="{across}" cy="{down}" r="2.5">{hint}</circle>'
            parts.append(dot)
        else:
            parts.append(f'<polyline class="{style}" points="{line}">{hint}</polyline>')
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(parts)}</svg></figure>"


def _axis(
    values: Sequence[float], start: float, stop: float
) -> tuple[list[float], Callable[[float], float]]:
    """Round tick values, and the function from a value to its position."""
    from matplotlib.ticker import MaxNLocator

    lowest, highest = min(values), max(values)
    room = 0.03 * (highest - lowest) or 0.5 * abs(highest) or 1.0
    low, high = lowest - room, highest + room
    found = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ticks = [float(tick) for tick in found if low <= tick <= high]
    scale = (stop - start) / (high - low)
    return ticks, lambda value: start + (value - low) * scale

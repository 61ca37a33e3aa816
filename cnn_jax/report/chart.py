"""Draws curves of several runs as inline SVG, coloured by the style sheet of the page."""

import dataclasses
import math
from collections.abc import Sequence
from decimal import Decimal
from html import escape

# SVG units, about a pixel each: the page shows a chart 20 to 30 rem wide.
WIDTH, HEIGHT = 400, 260
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 42
COLOURS = 8
CHARACTER = 8  # SVG units of a digit in text of 12 px, in a wide font
ROOM = Decimal("0.03")  # of the span, beyond the values at both ends
EQUAL = Decimal("1e-6")  # of the largest value: the rounding of float32 is less


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
    scale, unit = (100, " %") if percent else (1, "")
    values = [scale * Decimal(y) for curve in curves for _, y in curve.points]
    # Epochs count from 0, so that a run of one epoch has an axis too.
    epochs = [Decimal(x) for curve in curves for x, _ in curve.points]
    y_axis = _Axis.around(values, HEIGHT - BOTTOM, TOP, constant=100 if percent else None)
    labels = [f"{label}{unit}" for label in y_axis.labels]
    left = max(LEFT, CHARACTER * max(map(len, labels)) + 8)
    x_axis = _Axis.around([Decimal(0), *epochs], left, WIDTH - RIGHT, whole=True)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for tick, label in zip(y_axis.ticks, labels, strict=True):
        height = y_axis.position(tick)
        parts.append(f'<path class="grid" d="M{left} {height:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{left - 6}" y="{height + 4:.1f}" class="end">{label}</text>')
    for tick, label in zip(x_axis.ticks, x_axis.labels, strict=True):
        across = f'x="{x_axis.position(tick):.1f}"'
        parts.append(f'<text {across} y="{HEIGHT - BOTTOM + 17}" class="middle">{label}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" class="end">epoch</text>')
    for curve in curves:
        line = " ".join(
            f"{x_axis.position(Decimal(x)):.1f},{y_axis.position(scale * Decimal(y)):.1f}"
            for x, y in curve.points
        )
        style = f"curve c{curve.colour % COLOURS}{' dashed' if curve.dashed else ''}"
        hint = f"<title>{escape(curve.name)}</title>"
        if len(curve.points) == 1:
            across, down = line.split(",")
            dot = f'<circle class="{style}" cx="{across}" cy="{down}" r="2.5">{hint}</circle>'
            parts.append(dot)
        else:
            parts.append(f'<polyline class="{style}" points="{line}">{hint}</polyline>')
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(parts)}</svg></figure>"


@dataclasses.dataclass(frozen=True)
class _Axis:
    """A linear axis, exact for every magnitude of floats.

    Attributes:
      low: Value at `start`.
      high: Value at `stop`.
      start: SVG coordinate.
      stop: SVG coordinate.
      ticks: Round values from low to high.
    """

    low: Decimal
    high: Decimal
    start: float
    stop: float
    ticks: Sequence[Decimal]

    @classmethod
    def around(
        cls,
        values: Sequence[Decimal],
        start: float,
        stop: float,
        *,
        constant: int | None = None,
        whole: bool = False,
    ) -> "_Axis":
        """The axis of these values; if they are equal, from 0 to `constant` or twice the value.

        If `whole` is true, ticks are integers, except on an axis that is shorter than 1.
        """
        low, high = min(values), max(values)
        if high - low <= EQUAL * max(abs(low), abs(high)):
            far = Decimal(constant) if constant else 2 * (low or high) or Decimal(1)
            low, high = min(far, Decimal(0)), max(far, Decimal(0))
        step = _step(high - low, whole and high - low >= 1)
        room = ROOM * (high - low)
        low, high = low - room, high + room
        multiples = range(math.ceil(low / step), math.floor(high / step) + 1)
        return cls(low, high, start, stop, [step * multiple for multiple in multiples])

    def position(self, value: Decimal) -> float:
        return self.start + float((value - self.low) / (self.high - self.low)) * (
            self.stop - self.start
        )

    @property
    def labels(self) -> list[str]:
        """The ticks as text: all with an exponent if the largest has one, such as "1e-08"."""
        largest = max(map(abs, self.ticks))
        scientific = not Decimal("1e-3") <= largest < Decimal("1e6")
        return [_label(tick, scientific) for tick in self.ticks]


def _step(span: Decimal, whole: bool) -> Decimal:
    """The smallest round step that divides the span into at most five parts."""
    power = Decimal(1).scaleb((span / 5).adjusted())
    steps = [power * Decimal(number) for number in ("1", "2", "2.5", "5", "10")]
    return next(step for step in steps if 5 * step >= span and (not whole or step == round(step)))


def _label(tick: Decimal, scientific: bool) -> str:
    tick = tick.normalize()
    if not tick:
        return "0"
    if not scientific:
        return f"{tick:f}"
    exponent = tick.adjusted()
    return f"{tick.scaleb(-exponent).normalize():f}e{exponent:+03d}"

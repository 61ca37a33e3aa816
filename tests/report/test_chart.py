"""The charts of report.html: axes for every magnitude, with labels that can be read."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from cnn_jax.report.chart import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Curve, chart


class Drawn:
    """What a chart shows: `x` and `y` by label, and the points of its first curve."""

    def __init__(self, points, **options):
        self.svg = chart("Learning rate", [Curve("run", 0, points)], **options)
        number = r'"(-?[\d.]+)"'
        ends = re.findall(rf"<text x={number} y={number} class=\"end\">([^<]+)<", self.svg)
        self.y = {label: float(y) - 4 for _, y, label in ends if label != "epoch"}
        self.right = {label: float(x) for x, _, label in ends}
        middles = re.findall(rf"<text x={number} y={number} class=\"middle\">([^<]+)<", self.svg)
        self.x = {label: float(x) for x, _, label in middles}
        pairs = re.findall(r'points="([^"]+)"', self.svg) or [
            ",".join(re.findall(rf"c[xy]={number}", self.svg))
        ]
        self.points = [tuple(map(float, pair.split(","))) for pair in pairs[0].split()]


def values(drawn):
    return [float(label.removesuffix(" %")) for label in drawn.y]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("power", [-30, -8, -5, -4, -3, -1, 0, 3, 6, 8, 30])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 4), (0, 1, 0), (-1, 1, 2), (1, 1.001, 1.002)])
def test_every_magnitude_has_an_axis(power, sign, shape):
    """A tick's label, read as a number, is where a point of that value would be drawn."""
    given = [sign * float(np.float32(number * 10.0**power)) for number in shape]
    drawn = Drawn(list(enumerate(given, 1)))
    ticks = values(drawn)
    assert 2 <= len(ticks) <= 6 and len(set(ticks)) == len(ticks) == len(drawn.y)
    assert all(
        TOP <= y <= HEIGHT - BOTTOM for y in (*drawn.y.values(), *(y for _, y in drawn.points))
    )
    low, high = (list(drawn.y.values())[place] for place in (0, -1))
    scale = (high - low) / (ticks[-1] - ticks[0])
    for (_, y), value in zip(drawn.points, given, strict=True):
        assert y == pytest.approx(low + (value - ticks[0]) * scale, abs=0.15)
    # The axis is not much longer than the curve.
    span = max(given) - min(given)
    assert ticks[-1] - ticks[0] <= 1.07 * (
        span if span > 1e-6 * max(map(abs, given)) else 2 * abs(given[0])
    )


def test_a_constant_curve_lies_between_0_and_twice_its_value():
    small = Drawn([(1, 1e-8), (2, 1e-8)])
    assert list(small.y) == ["0", "5e-09", "1e-08", "1.5e-08", "2e-08"]
    assert small.points[0][1] == small.points[1][1] == pytest.approx(small.y["1e-08"], abs=0.06)
    assert list(Drawn([(1, -0.5)]).y) == ["-1", "-0.8", "-0.6", "-0.4", "-0.2", "0"]
    zero = Drawn([(1, 0.0), (2, 0.0)])
    assert values(zero)[0] == 0 and values(zero)[-1] == 1
    assert zero.points[0][1] == pytest.approx(zero.y["0"], abs=0.06)
    assert list(Drawn([(1, 1.0)], percent=True).y)[-1] == "100 %"
    # float32 rounds a constant learning rate differently from step to step.
    noise = [float(np.nextafter(np.float32(1e-8), np.float32(side))) for side in (0, 1)]
    assert list(Drawn(list(enumerate(noise))).y) == list(small.y)


def test_epochs_count_from_0_in_whole_numbers():
    assert list(Drawn([(1, 1e-8)]).x) == ["0", "1"]
    assert list(Drawn([(1, 0.1), (2, 0.1)]).x) == ["0", "1", "2"]
    assert list(Drawn([(5, 0.1), (10, 0.1)]).x) == ["0", "2", "4", "6", "8", "10"]
    assert list(Drawn([(0.1, 0.1), (0.2, 0.1)]).x)[-1] == "0.2"


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 0.1, ["0", "0.025", "0.05", "0.075", "0.1"]),
        (0, 4e-4, ["0", "1e-04", "2e-04", "3e-04", "4e-04"]),
        (1, 3, ["1", "1.5", "2", "2.5", "3"]),
        (1000, 3000, ["1000", "1500", "2000", "2500", "3000"]),
        (0, 2e7, ["0", "5e+06", "1e+07", "1.5e+07", "2e+07"]),
        (1.00001, 1.00003, ["1.00001", "1.000015", "1.00002", "1.000025", "1.00003"]),
    ],
)
def test_labels_are_short_and_differ(low, high, labels):
    drawn = Drawn([(1, low), (2, high)])
    assert list(drawn.y) == labels
    assert all(right >= 7.6 * len(label) for label, right in drawn.right.items())


def test_warm_up_and_cosine():
    def rate(epoch):
        return epoch / 5 if epoch < 5 else 0.5 + 0.5 * math.cos(math.pi * (epoch - 5) / 15)

    for peak, labels in ((0.1, ["0", "0.025", "0.05", "0.075", "0.1"]), (1e-8, None)):
        drawn = Drawn([(epoch / 2, peak * rate(epoch / 2)) for epoch in range(1, 41)])
        ups = [y for _, y in drawn.points]
        assert ups.index(min(ups)) == 9  # epoch 5
        assert ups[0] > ups[5] > ups[9] < ups[20] < ups[39]
        assert labels is None or list(drawn.y) == labels
        assert list(drawn.x) == ["0", "5", "10", "15", "20"]
        assert all(LEFT <= x <= WIDTH for x, _ in drawn.points)


def test_no_curve_no_chart():
    assert chart("Loss", [Curve("run", 0, [])]) == ""

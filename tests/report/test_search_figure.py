"""The figure of a search."""

from __future__ import annotations

import itertools
import math

import matplotlib.pyplot as plt
import pytest

from cnn_jax.report.search_figure import Field, Point, build

NETS = ("MLP((8,))", "LeNet()", "MLP(hidden=(16, 16))", "ResNet20(width=4)")


@pytest.fixture
def figure():
    points = [
        Point(place, {"model": NETS[place % 4], "epochs": 1 + place % 2}, 0.5, False, False)
        for place in range(3)
    ]
    made = build(points, [Field("model", False, NETS), Field("epochs", False, ())], "accuracy")
    made.draw_without_rendering()
    yield made
    plt.close(made)


def test_the_names_of_choices_do_not_overlap(figure):
    names = figure.axes[1].get_xticklabels()
    assert [name.get_text() for name in names][1] == "LeNet()"
    height = names[0].get_fontsize() * figure.dpi / 72
    for one, two in itertools.pairwise(names):
        ends = [name.get_transform().transform(name.get_position())[0] for name in (one, two)]
        # The distance of two slanted lines of text, at right angles to them.
        distance = (ends[1] - ends[0]) * math.sin(math.radians(one.get_rotation()))
        assert distance > height


def test_whole_numbers_have_whole_ticks(figure):
    for axes in (figure.axes[0], figure.axes[2]):
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks == [round(tick) for tick in ticks]

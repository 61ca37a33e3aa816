"""The picture of a volume's slices shows its values, and finds them again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnn_jax.report.slices import WIDTH, Slices

VOLUMES = [(8, 8, 16), (32, 32, 3), (1, 1, 128), (4, 7, 65), (300, 200, 5), (1, 1, 1)]


@pytest.mark.parametrize("volume", VOLUMES)
def test_every_value_is_found_where_it_is_drawn(volume):
    slices = Slices(volume)
    values = np.random.default_rng(0).random(volume)
    drawn = slices.draw(values)
    expected = np.round(255 * (values - values.min()) / (np.ptp(values) or 1))
    if volume[2] > slices.count:
        shown = values[..., : slices.count]
        expected = np.round(255 * (shown - shown.min()) / np.ptp(shown))
    steps = [max(1, side // 3) for side in volume]
    for place in itertools.product(
        range(0, volume[0], steps[0]), range(0, volume[1], steps[1]), range(slices.count)
    ):
        top, bottom, left, right = slices.box(place)
        assert abs(drawn[top:bottom, left:right].astype(int) - expected[place]).max() <= 1
        assert slices.position(left, top) == place == slices.position(right - 1, bottom - 1)
    assert drawn.shape[1] <= max(WIDTH, volume[1])


def test_the_gaps_hold_no_value():
    slices = Slices((8, 8, 4))
    _, bottom, _, right = slices.box((7, 7, 0))
    assert slices.position(right, 0) is None and slices.position(0, bottom) is None
    assert slices.position(10**4, 0) is None and slices.position(0, 10**4) is None


def test_zero_is_grey_in_signed_slices():
    values = np.array([[[-1.0, 2.0, 0.0]]])
    drawn = Slices((1, 1, 3)).draw(values, signed=True)
    found = [
        drawn[top, left]
        for top, _, left, _ in map(Slices((1, 1, 3)).box, [(0, 0, c) for c in range(3)])
    ]
    assert found == [64, 255, 128]


def test_equal_values_are_drawn():
    assert not Slices((2, 2, 1)).draw(np.full((2, 2, 1), 7.0)).any()


def test_a_row_holds_the_slices_of_one_filter():
    for side in (1, 3, 5, 11):
        assert Slices((side, side, 8 * 16), 128, 16 / 8).columns == 16

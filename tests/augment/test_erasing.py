from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from noise import HEIGHT, WIDTH, batch, run

from cnn_jax.augment import Cutout


@pytest.mark.parametrize("size", [3, 4])
def test_cutout_blackens_one_square_that_the_border_clips(size):
    """The hole of a centre (r, c) starts at r - size // 2; each centre is as likely."""
    given = batch()
    image, out = np.asarray(given.image), run(Cutout(size), given)
    holes = {}
    for r, c in np.ndindex(HEIGHT, WIDTH):
        top, left = r - size // 2, c - size // 2
        hole = np.zeros((HEIGHT, WIDTH), bool)
        hole[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = True
        holes[hole.tobytes()] = (r, c)
    assert len(holes) == HEIGHT * WIDTH
    centres = Counter()
    for before, after in zip(image, out, strict=True):
        black = (after == 0).all(-1)
        centres[holes[black.tobytes()]] += 1
        np.testing.assert_array_equal(after[~black], before[~black])
    assert len(centres) == HEIGHT * WIDTH  # 11 examples each on average
    assert max(centres.values()) < 30


@pytest.mark.parametrize("color", [(0,), (0, 0, 200)])
def test_cutout_of_a_whole_square_covers_it_with_the_color(color):
    """There are 2 x 4 places for a square of 4; each is as likely."""
    given = batch()
    image, out = np.asarray(given.image), run(Cutout(4, color=color, whole=True), given)
    places = Counter()
    for before, after in zip(image, out, strict=True):
        covered = (after[..., :2] == 0).all(-1)
        top, left = np.argwhere(covered)[0]
        expected = before.copy()
        expected[top : top + 4, left : left + 4] = color
        np.testing.assert_array_equal(after, expected)
        places[top, left] += 1
    assert set(places) == set(np.ndindex(HEIGHT - 3, WIDTH - 3))
    assert all(25 < number < 80 for number in places.values())  # 50 on average

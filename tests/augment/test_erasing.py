from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from noise import HEIGHT, SIZE, WIDTH, batch, run

from cnn_jax.augment import Cutout, RandomErasing


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


def authors_shapes(height: int, width: int, number: int) -> np.ndarray:
    """Heights and widths i[N,2] as the program of Zhong et al. draws them."""
    random, shapes = np.random.default_rng(0), []
    while len(shapes) < number:
        area = random.uniform(0.02, 0.4) * height * width
        ratio = random.uniform(0.3, 1 / 0.3)
        shape = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if shape[0] < height and shape[1] < width:
            shapes.append(shape)
    return np.array(shapes)


def test_random_erasing_covers_a_rectangle_of_random_shape():
    """Black ones in half of the images; sizes as the authors' program draws them, places even."""
    given, (height, width) = batch(SIZE, height=16, width=12), (16, 12)
    sizes, places = [], []
    for seed in range(4):
        out = run(RandomErasing(color=(0,)), given, seed)
        for before, after in zip(np.asarray(given.image), out, strict=True):
            black = np.argwhere((after == 0).all(-1))
            if not len(black):
                np.testing.assert_array_equal(after, before)
                continue
            first, last = black.min(0), black.max(0) + 1
            expected = before.copy()
            expected[first[0] : last[0], first[1] : last[1]] = 0
            np.testing.assert_array_equal(after, expected)
            sizes.append(last - first)
            places.append(first / ((height, width) - (last - first)))
    assert abs(len(sizes) - 2 * SIZE) < 4 * SIZE**0.5
    theirs = authors_shapes(height, width, 20_000)
    for mine, other in (
        (np.array(sizes), theirs),
        (np.prod(sizes, axis=1, keepdims=True), np.prod(theirs, axis=1, keepdims=True)),
    ):
        assert (abs(mine.mean(0) - other.mean(0)) < 4 * other.std(0) / len(mine) ** 0.5).all()
        np.testing.assert_allclose(mine.std(0), other.std(0), rtol=0.1)
    assert (np.max(sizes, axis=0) < (height, width)).all()
    assert (abs(np.mean(places, axis=0) - 0.5) < 0.05).all()
    assert (np.min(places, axis=0) == 0).all()
    assert (np.max(places, axis=0) == 1).all()


def test_random_erasing_leaves_noise():
    given = batch(SIZE, height=16, width=12)
    out = run(RandomErasing(probability=1.0), given)
    changed = out != given.image
    assert changed.any((1, 2, 3)).all()
    counts = np.bincount(out[changed], minlength=256)
    # 45 pixels of an image, 3 channels: about 200 of each value, nearly all of them changed ones.
    assert (abs(counts[1:] - counts[1:].mean()) < 5 * counts[1:].mean() ** 0.5).all()
    assert counts[0] == pytest.approx(counts[1:].mean(), rel=0.4)

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from noise import HEIGHT, WIDTH, batch, run

from cnn_jax.augment import AlternatingFlip, Flip, RandomCrop
from cnn_jax.data.batch import Batch


def windows(image: np.ndarray, padding: int, mode: str) -> dict[tuple[int, int], np.ndarray]:
    """Every crop that a random crop may come to, by its corner."""
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), mode=mode)
    return {
        (r, c): padded[r : r + HEIGHT, c : c + WIDTH]
        for r in range(2 * padding + 1)
        for c in range(2 * padding + 1)
    }


@pytest.mark.parametrize(("fill", "mode"), [("zero", "constant"), ("reflect", "reflect")])
def test_each_crop_is_a_window_of_the_padded_image(fill, mode):
    given = batch()
    crops, corners = run(RandomCrop(2, fill=fill), given), []
    for image, crop in zip(np.asarray(given.image), crops, strict=True):
        found = [at for at, window in windows(image, 2, mode).items() if (window == crop).all()]
        assert len(found) == 1
        corners += found
    counts = Counter(corners)  # 25 corners, 16 examples each on average
    assert len(counts) == 25
    assert max(counts.values()) < 40
    rows, columns = np.array(corners).T
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.2


def test_a_crop_without_padding_changes_nothing():
    given = batch(2)
    np.testing.assert_array_equal(run(RandomCrop(0), given), given.image)


def mirrored(given: Batch, out: np.ndarray) -> np.ndarray:
    """bool[B]: which images were mirrored; fails where one is neither mirrored nor as given."""
    image = np.asarray(given.image)
    as_given = (out == image).all((1, 2, 3))
    is_mirrored = (out == image[:, :, ::-1]).all((1, 2, 3))
    assert (as_given != is_mirrored).all()
    return is_mirrored


def test_flip_mirrors_about_half():
    given = batch()
    first, second = (mirrored(given, run(Flip(), given, seed)) for seed in (0, 1))
    for flips in (first, second, first == second):
        assert 150 < flips.sum() < 250


def test_alternating_flip_mirrors_in_every_other_epoch():
    by_epoch = [mirrored(batch(epoch=e), run(AlternatingFlip(), batch(epoch=e))) for e in range(4)]
    assert 150 < by_epoch[0].sum() < 250
    for before, after in itertools.pairwise(by_epoch):
        assert (before != after).all()


def test_alternating_flip_depends_on_nothing_but_index_and_epoch():
    given = batch()
    np.testing.assert_array_equal(
        run(AlternatingFlip(), given, seed=0), run(AlternatingFlip(), given, seed=1)
    )

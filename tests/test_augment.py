from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.augment import AlternatingFlip, Augmentation, Cutout, Flip, Jitter, RandomCrop
from cnn_jax.batch import Batch

SIZE = 400  # examples in the batch
HEIGHT, WIDTH = 5, 7
EVERY = [
    RandomCrop(2),
    RandomCrop(2, fill="reflect"),
    Flip(),
    AlternatingFlip(),
    Cutout(3),
    Cutout(3, color=(9,), whole=True),
    Jitter(),
]


@functools.cache
def batch(size=SIZE, epoch=0) -> Batch:
    """Noise without a zero: no image is its own mirror image."""
    image = np.random.default_rng(0).integers(1, 256, (size, HEIGHT, WIDTH, 3))
    return Batch(
        image=image.astype(np.uint8),
        label=np.arange(size, dtype=np.int32) % 10,
        index=np.arange(size, dtype=np.int32) * 7 + 3,
        epoch=np.int32(epoch),
        mask=np.ones(size, np.float32),
    )


def part(whole: Batch, rows) -> Batch:
    return dataclasses.replace(
        whole, **{n: getattr(whole, n)[rows] for n in ("image", "label", "index", "mask")}
    )


@functools.cache
def compiled(augment: Augmentation):
    return jax.jit(lambda seed, given: augment(jax.random.key(seed), given))


def run(augment: Augmentation, given: Batch, seed=0) -> np.ndarray:
    return np.asarray(compiled(augment)(seed, given).image)


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


def test_jitter_is_one_line_for_all_pixels_of_an_image():
    """Mid-grey images, which nothing cuts off: slope and offset are those of the definition."""
    given = batch()
    given = dataclasses.replace(given, image=given.image // 4 + 96)
    shifts, scales = [], []
    for before, after in zip(given.image, run(Jitter(0.1, 0.2), given), strict=True):
        slope, offset = np.polyfit(before.ravel() - 127.5, after.ravel() - 127.5, 1)
        line = slope * (before - 127.5) + offset + 127.5
        assert abs(line - after).max() < 0.7  # half is from rounding
        scales.append(slope - 1)
        shifts.append(offset / slope / 255)
    for drawn, most in ((scales, 0.2), (shifts, 0.1)):
        assert 0.95 * most < max(drawn) < 1.03 * most
        assert 0.95 * most < -min(drawn) < 1.03 * most
        assert abs(np.std(drawn) / most - 3**-0.5) < 0.05  # of a uniform distribution
    assert abs(np.corrcoef(scales, shifts)[0, 1]) < 0.2


def test_jitter_stays_between_black_and_white():
    given = dataclasses.replace(batch(), image=np.where(batch().image < 128, 0, 255).astype("u1"))
    out = run(Jitter(0.3, 0.3), given).astype(int)
    assert ((out < 128) == (given.image < 128)).all()
    assert out.min() == 0
    assert out.max() == 255


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_what_is_not_an_image_is_left_alone(augment):
    given = batch()
    out = compiled(augment)(0, given)
    assert out.image.dtype == jnp.uint8
    assert out.image.shape == given.image.shape
    for name in ("label", "index", "epoch", "mask"):
        np.testing.assert_array_equal(getattr(out, name), getattr(given, name))


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_an_example_does_not_depend_on_its_batch(augment):
    """Shuffled, or alone with one other, an example comes to what it came to in the whole batch."""
    given = batch()
    whole = run(augment, given)
    order = np.random.default_rng(0).permutation(SIZE)
    np.testing.assert_array_equal(run(augment, part(given, order)), whole[order])
    few = np.array([31, 4])
    np.testing.assert_array_equal(run(augment, part(given, few)), whole[few])


@pytest.mark.parametrize("augment", [a for a in EVERY if a != AlternatingFlip()], ids=repr)
def test_randomness_is_the_keys(augment):
    given = batch()
    first, again, other = (run(augment, given, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_one_channel():
    grey = dataclasses.replace(batch(), image=batch().image[..., :1])
    for augment in EVERY:
        out = jax.eval_shape(compiled(augment), 0, grey)
        assert out.image.shape == grey.image.shape


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: RandomCrop(padding=-1), "padding"),
        (lambda: RandomCrop(fill="mean"), "fill"),
        (lambda: Jitter(brightness=-0.1), "brightness"),
        (lambda: Jitter(contrast=1.0), "contrast"),
        (lambda: Cutout(size=0), "size"),
        (lambda: Cutout(size=float("nan")), "size"),
        (lambda: Cutout(color=(256,)), "color"),
        (lambda: Cutout(color=()), "color"),
        (lambda: Cutout(6, whole=True)(jax.random.key(0), batch()), "size"),
        (lambda: Cutout(2, color=(1, 2))(jax.random.key(0), batch()), "color"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()

"""Shapes is the same everywhere, fair to every class, and no problem for a linear model."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from cnn_jax.data import DataConfig, Shapes

FIRST_TEN = "761fb364e913aab73bb45a4b392946fa60d4357a863a0516cb6080ee631989d7"


@pytest.fixture(scope="module")
def data():
    return Shapes(train=4000, validation=500, test=1000).load()


def test_shapes_ranges_and_balance(data):
    assert data.name == "shapes"
    assert data.image_shape == (32, 32, 3)
    assert data.num_classes == 10
    assert len(set(data.classes)) == 10
    for part, number in ((data.train, 4000), (data.validation, 500), (data.test, 1000)):
        assert part.images.shape == (number, 32, 32, 3)
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int32
        assert np.bincount(part.labels, minlength=10).tolist() == [number // 10] * 10
        assert part.images.min() < 30
        assert part.images.max() > 225


def test_classes_are_not_in_an_order(data):
    assert len(set(data.train.labels[:20].tolist())) > 4


def test_statistics_are_those_of_the_pixels(data):
    pixels = data.train.images.reshape(-1, 3) / 255
    np.testing.assert_allclose(data.mean, pixels.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(data.std, pixels.std(axis=0), rtol=1e-9)


def test_known_images():
    images = Shapes(train=10, validation=0, test=1).load().train.images
    assert hashlib.sha256(images).hexdigest() == FIRST_TEN


def test_another_process_draws_the_same():
    code = "from cnn_jax.data import Shapes; print(Shapes(600, 0, 700).load().fingerprint)"
    environment = os.environ | {"PYTHONHASHSEED": "5", "PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert other.stdout.strip() == Shapes(600, 0, 700).load().fingerprint


def test_splits_and_lengths_are_independent(data):
    short = Shapes(train=30, validation=0, test=1000).load()
    assert short.validation is None
    np.testing.assert_array_equal(short.test.images, data.test.images)
    np.testing.assert_array_equal(short.train.images, data.train.images[:30])
    np.testing.assert_array_equal(short.train.labels, data.train.labels[:30])
    assert not np.array_equal(data.test.images[:500], data.validation.images)
    assert not np.array_equal(data.test.images[:500], data.train.images[:500])
    assert short.fingerprint != data.fingerprint


def test_no_image_comes_twice(data):
    parts = (data.train, data.validation, data.test)
    images = np.concatenate([part.images.reshape(len(part), -1) for part in parts])
    assert len({image.tobytes() for image in images}) == len(images)


def test_another_seed_draws_others(data):
    other = Shapes(train=500, validation=0, test=1, seed=1).load()
    assert not np.array_equal(other.train.images, data.train.images[:500])


def test_a_linear_model_is_better_than_chance_and_below_45_percent(data):
    def features(part):
        pixels = part.images.reshape(len(part), -1) / 255 - 0.5
        return np.concatenate([pixels, np.ones((len(part), 1))], axis=1).astype(np.float32)

    train, targets = features(data.train), np.eye(10, dtype=np.float32)[data.train.labels]
    best = 0.0
    for ridge in (100.0, 1000.0):
        gram = train.T @ train + ridge * np.eye(train.shape[1], dtype=np.float32)
        weights = np.linalg.solve(gram, train.T @ targets)
        guesses = (features(data.test) @ weights).argmax(axis=1)
        best = max(best, float(np.mean(guesses == data.test.labels)))
    assert 0.15 < best < 0.45


@pytest.mark.parametrize(
    ("field", "value"), [("train", 0), ("test", 0), ("validation", -1), ("seed", -1)]
)
def test_ranges(field, value):
    with pytest.raises(ValueError, match=rf"^{field} must be (positive|at least 0), got {value}$"):
        Shapes(**{field: value})


def test_resolves_to_itself():
    assert isinstance(Shapes(), DataConfig)
    assert Shapes(seed=3).resolve("/nowhere") == (Shapes(seed=3), "")

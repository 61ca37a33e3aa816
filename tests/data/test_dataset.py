"""Own data is checked where it enters, and the message names the first bad example."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from cnn_jax.data import DataInvalid, Dataset, Split
from cnn_jax.data.dataset import digest


def split(number=4, labels=None, shape=(8, 6, 3)):
    labels = np.arange(number) % 3 if labels is None else labels
    return Split(np.zeros((number, *shape), np.uint8), np.asarray(labels, np.int32))


def dataset(**changes):
    fields = {
        "name": "mine",
        "classes": ("a", "b", "c"),
        "train": split(6),
        "validation": None,
        "test": split(4),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.2, 0.2, 0.2),
        "fingerprint": "none",
    }
    return Dataset(**(fields | changes))


def test_properties():
    data = dataset()
    assert data.image_shape == (8, 6, 3)
    assert data.num_classes == 3
    assert len(data.train) == 6


def test_row_19_float_pixels_are_refused_and_nan_is_located():
    images = np.zeros((5, 4, 4, 3), np.float32)
    labels = np.zeros(5, np.int32)
    with pytest.raises(DataInvalid, match=r"images must be uint8.*float32$"):
        Split(images, labels)
    images[3, 1, 2, 0] = np.nan
    with pytest.raises(DataInvalid, match=r"float32; example 3 holds NaN"):
        Split(images, labels)


@pytest.mark.parametrize("shape", [(5, 4, 4), (5, 4, 4, 2), (5, 48)])
def test_row_19_wrong_image_shape(shape):
    with pytest.raises(DataInvalid, match=r"images must be u8\[N,H,W,C\]"):
        Split(np.zeros(shape, np.uint8), np.zeros(5, np.int32))


@pytest.mark.parametrize("labels", [np.zeros(5), np.zeros(5, np.int64), np.zeros((5, 1), np.int32)])
def test_row_19_wrong_labels(labels):
    with pytest.raises(DataInvalid, match=r"labels must be i32\[N\]"):
        Split(np.zeros((5, 4, 4, 3), np.uint8), labels)


def test_unequal_lengths_name_the_first_example_without_a_partner():
    with pytest.raises(DataInvalid, match="example 4 has no label"):
        Split(np.zeros((5, 4, 4, 3), np.uint8), np.zeros(4, np.int32))
    with pytest.raises(DataInvalid, match="example 5 has no image"):
        Split(np.zeros((5, 4, 4, 3), np.uint8), np.zeros(9, np.int32))


def test_empty_split():
    with pytest.raises(DataInvalid, match="at least one"):
        split(0)


@pytest.mark.parametrize("label", [3, -1])
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_row_19_label_out_of_range_names_the_example(part, label):
    bad = split(5, [0, 1, label, 9, 0])
    with pytest.raises(DataInvalid, match=rf"label of {part} example 2 is {label}, .*0\.\.2"):
        dataset(**{part: bad})


def test_parts_must_have_one_image_shape():
    with pytest.raises(DataInvalid, match="images of test must have shape"):
        dataset(test=split(shape=(8, 8, 3)))


@pytest.mark.parametrize("std", [(0.2, 0.0, 0.2), (0.2, float("nan"), 0.2), (0.2,)])
def test_useless_statistics(std):
    with pytest.raises(DataInvalid, match="std"):
        dataset(std=std)


def test_digest_is_of_the_content():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert digest(array) == hashlib.sha256(bytes(range(24))).hexdigest()
    assert digest(array[:, ::-1]) != digest(array)

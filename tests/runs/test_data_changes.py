"""What has changed in a run's data, in one line with numbers."""

from __future__ import annotations

import dataclasses

import pytest

from cnn_jax.experiment import DataFacts
from cnn_jax.runs.data_changes import differences

BEFORE = DataFacts(
    name="folder:pets",
    classes=("cat", "dog", "owl"),
    image_shape=(32, 32, 3),
    mean=(0.5,) * 3,
    std=(0.2,) * 3,
    train=1200,
    validation=100,
    test=300,
    fingerprint="0",
    class_counts=(400, 500, 300),
)
MANY = tuple(f"c{number}" for number in range(9))


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "the same number of images of each class, other content"),
        ({"class_counts": ()}, "the same number of images, other content"),
        (
            {"train": 1201, "class_counts": (400, 501, 300)},
            "train images 1,200 -> 1,201; train images of dog 500 -> 501",
        ),
        ({"class_counts": (399, 501, 300)}, "train images of cat 400 -> 399, dog 500 -> 501"),
        ({"test": 299, "validation": 0}, "validation images 100 -> 0; test images 300 -> 299"),
        ({"image_shape": (64, 48, 3)}, "image shape 32x32x3 -> 64x48x3"),
        (
            {"classes": ("dog", "cat", "owl"), "class_counts": ()},
            "the classes are in another order",
        ),
        (
            {"classes": ("cat", "emu", "owl"), "class_counts": (400, 500, 301)},
            "classes removed: dog; classes added: emu; train images of owl 300 -> 301",
        ),
        (
            {"classes": MANY, "class_counts": ()},
            "classes removed: cat, dog, owl; classes added: c0, c1, c2, c3, c4 and 4 more",
        ),
    ],
)
def test_what_differs_is_named_with_numbers(changed, line):
    assert differences(BEFORE, dataclasses.replace(BEFORE, **changed)) == line


def test_what_a_run_recorded_before_classes_were_counted_is_still_compared():
    now = dataclasses.replace(BEFORE, train=1199)
    before = dataclasses.replace(BEFORE, class_counts=())
    assert differences(before, now) == "train images 1,200 -> 1,199"

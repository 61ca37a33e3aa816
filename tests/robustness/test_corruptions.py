"""What all kinds of corruption have in common."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_jax.robustness.corruptions import KINDS, SEVERITIES, corrupt, generator


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_images_is_repeatable_and_leaves_its_argument(kind, images):
    before = images.copy()
    for severity in SEVERITIES:
        made = corrupt(kind, images, severity, generator(0, kind, severity, 0))
        again = corrupt(kind, images, severity, generator(0, kind, severity, 0))
        assert made.dtype == np.uint8 and made.shape == images.shape
        np.testing.assert_array_equal(made, again)
        assert (made != images).any()
    np.testing.assert_array_equal(images, before)
    assert len(KINDS[kind].constants) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_one_channel_and_of_other_sizes(kind):
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 24, 1)).astype(np.uint8)
    made = corrupt(kind, images, 5, generator(0, kind, 5, 0))
    assert made.shape == images.shape


def distance(kind, images, severity):
    made = corrupt(kind, images, severity, generator(0, kind, severity, 0))
    return np.abs(made.astype(float) - images).mean()


# By their constants glass, elastic, saturate and motion (whose line grows as well) do not; and
# pixelate's boxes fall into the patches at some severities and across them at others.
NOT_MONOTONE = {"glass_blur", "elastic_transform", "saturate", "motion_blur", "pixelate"}


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - NOT_MONOTONE))
def test_a_higher_severity_changes_more(kind, images):
    distances = [distance(kind, images, severity) for severity in SEVERITIES]
    assert distances == sorted(distances)


def test_the_same_constants_as_published():
    """Some, by hand, of every group."""
    assert KINDS["gaussian_noise"].constants[4] == 0.10
    assert KINDS["shot_noise"].constants[0] == 500
    assert KINDS["glass_blur"].constants[3] == (0.25, 1, 2)
    assert KINDS["fog"].constants[2] == (0.75, 2.5)
    assert KINDS["jpeg_compression"].constants == (80, 65, 58, 50, 40)
    groups = [kind.group for kind in KINDS.values()]
    assert {group: groups.count(group) for group in groups} == {
        "noise": 3, "blur": 4, "weather": 3, "digital": 4, "extra": 3,
    }  # fmt: skip

"""Contrast, saturation, elastic transform, pixelation and JPEG against their definitions."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image
from pixel_sums import blurred_naively, by_hsv, close, reflect, symmetric

from cnn_jax.robustness import digital
from cnn_jax.robustness.corruptions import KINDS, SEVERITIES, corrupt

SIZE = 32


@pytest.mark.parametrize("severity", SEVERITIES)
def test_saturate_changes_the_saturation_of_hsv(severity, images, pixels):
    factor, shift = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))[severity - 1]
    made = corrupt("saturate", images, severity, np.random.default_rng(0))
    close(made[0], by_hsv(pixels[0], lambda h, s, v: (h, min(factor * s + shift, 1), v)))


def test_contrast_scales_around_each_channel_s_mean(images, pixels):
    made = corrupt("contrast", images, 5, np.random.default_rng(0))
    for channel in range(3):
        mean = pixels[1, ..., channel].mean()
        close(made[1, ..., channel], mean + 0.15 * (pixels[1, ..., channel] - mean))


def between(image, y, x, outside):
    """The image at a place between four pixels."""
    top, left = math.floor(y), math.floor(x)
    return sum(
        (1 - abs(y - row))
        * (1 - abs(x - column))
        * image[outside(row, SIZE), outside(column, SIZE)]
        for row in (top, top + 1)
        for column in (left, left + 1)
    )


@pytest.mark.parametrize(
    ("severity", "constants"), [(2, (0.05, 0.2, 0.07)), (5, (0.1, 0.03, 0.03))]
)
def test_elastic_transform_point_by_point(severity, constants, pixels):
    assert KINDS["elastic_transform"].constants[severity - 1] == constants
    distance, sigma, skew = constants
    made = digital.elastic_transform(np.random.default_rng(9), pixels[:1], distance, sigma, skew)
    random = np.random.default_rng(9)
    points = np.array([[26, 26], [26, 6], [6, 6]])
    moved = points + random.uniform(-skew * 32, skew * 32, (1, 3, 2))[0]
    noise = random.uniform(-1, 1, (1, SIZE, SIZE, 2))[0]
    # The affine map that takes the moved points to the points: six equations.
    rows = [[*point, 1, 0, 0, 0] for point in moved] + [[0, 0, 0, *point, 1] for point in moved]
    a = np.linalg.solve(rows, [*points[:, 0], *points[:, 1]])
    skewed = np.array(
        [
            [
                between(pixels[0], a[3] * x + a[4] * y + a[5], a[0] * x + a[1] * y + a[2], reflect)
                for x in range(SIZE)
            ]
            for y in range(SIZE)
        ]
    )
    shift = distance * 32 * blurred_naively(noise, sigma * 32, 3, symmetric)
    expected = np.array(
        [
            [
                between(skewed, y + shift[y, x, 1], x + shift[y, x, 0], symmetric)
                for x in range(SIZE)
            ]
            for y in range(SIZE)
        ]
    )
    np.testing.assert_allclose(made[0], expected, atol=1e-4)


@pytest.mark.parametrize(("severity", "small"), [(1, 30), (2, 28), (3, 27), (4, 24), (5, 20)])
def test_pixelate_is_pillow_s_boxes(severity, small, images):
    made = corrupt("pixelate", images, severity, np.random.default_rng(0))
    for image, got in zip(images, made, strict=True):
        box = Image.Resampling.BOX
        expected = Image.fromarray(image).resize((small, small), box).resize((32, 32), box)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("severity", "quality"), [*enumerate((80, 65, 58, 50, 40), 1)])
def test_jpeg_is_pillow_s(severity, quality, images):
    made = corrupt("jpeg_compression", images, severity, np.random.default_rng(0))
    for image, got in zip(images, made, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        np.testing.assert_array_equal(got, Image.open(file))

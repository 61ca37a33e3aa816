"""Each blur against its published definition, written out pixel by pixel."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from pixel_sums import blurred_naively, close, edge, enlarged, grey, reflect

from cnn_jax.robustness import blur
from cnn_jax.robustness.corruptions import SEVERITIES, corrupt, generator

SIZE = 32


@pytest.mark.parametrize("severity", [1, 5])
def test_gaussian_blur_against_sums(severity, images, pixels):
    sigma = {1: 0.4, 5: 1.0}[severity]
    made = corrupt("gaussian_blur", images, severity, np.random.default_rng(0))
    close(made[0], blurred_naively(pixels[0].astype(float), sigma, 4, edge))


@pytest.mark.parametrize("severity", [1, 4, 5])
def test_defocus_blur_against_sums(severity, images, pixels):
    radius, sigma = {1: (0.3, 0.4), 4: (1, 0.2), 5: (1.5, 0.1)}[severity]
    disk = np.zeros((17, 17))
    for y, x in itertools.product(range(-8, 9), repeat=2):
        disk[y + 8, x + 8] = y * y + x * x <= radius * radius
    soft = [math.exp(-0.5 / sigma**2), 1.0, math.exp(-0.5 / sigma**2)]
    kernel = np.zeros((17, 17))
    for y, x in itertools.product(range(1, 16), repeat=2):
        kernel[y, x] = sum(
            soft[i] * soft[j] * disk[y + i - 1, x + j - 1]
            for i, j in itertools.product(range(3), repeat=2)
        )
    kernel /= kernel.sum()
    made = corrupt("defocus_blur", images, severity, np.random.default_rng(0))
    for y, x in ((0, 0), (0, 31), (13, 7), (31, 30)):
        expected = sum(
            kernel[i + 8, j + 8] * pixels[0, reflect(y + i, SIZE), reflect(x + j, SIZE)]
            for i, j in itertools.product(range(-8, 9), repeat=2)
        )
        close(made[0, y, x], expected)


@pytest.mark.parametrize("kind", ["gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur"])
def test_blurs_leave_an_even_image(kind):
    for severity in SEVERITIES:
        made = corrupt(kind, grey(100, 2), severity, generator(0, kind, severity, 0))
        assert np.abs(made.astype(int) - 100).max() <= 1


def test_glass_blur_moves_pixels_one_after_the_other(images, pixels):
    made = blur.glass_blur(np.random.default_rng(7), pixels, 0.0, 1, 2)
    random = np.random.default_rng(7)
    expected = pixels.copy()
    for _ in range(2):
        moves = random.integers(-1, 1, (30, 30, 2, 4))
        for number in range(4):
            for i, row in enumerate(range(31, 1, -1)):
                for j, column in enumerate(range(31, 1, -1)):
                    down, right = moves[i, j, :, number]
                    expected[number, row, column] = expected[number, row + down, column + right]
    np.testing.assert_allclose(made, expected, atol=2e-3)
    assert set(np.unique(random.integers(-1, 1, 100))) == {-1, 0}


@pytest.mark.parametrize("degrees", [0.0, 45.0, -30.0])
def test_motion_blur_is_the_weighted_mean_along_a_line(degrees, pixels):
    made = blur.drag(pixels[:1], 6, 1.5, np.array([degrees]))
    weights = [math.exp(-i * i / (2 * 1.5**2)) for i in range(13)]
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    for y, x in ((0, 0), (10, 20), (31, 31), (31, 3)):
        expected = sum(
            weight
            * pixels[
                0,
                edge(y + math.ceil(i * sine - 0.5), SIZE),
                edge(x + math.ceil(i * cosine - 0.5), SIZE),
            ]
            for i, weight in enumerate(weights)
        ) / sum(weights)
        expected = np.floor(np.round(expected * 65535) / 257) / 255  # to 16 bits, cut to 8
        np.testing.assert_allclose(made[0, y, x], expected, atol=1e-9)


# ImageMagick 6.9.11-60 Q16: MagickMotionBlurImage(wand, radius, sigma, angle) by Wand 0.7.2 on
# np.random.default_rng(0).integers(0, 256, (5, 8)).astype(np.uint8) as a PNG, whose make_blob() is
# read by cv2.imdecode (OpenCV 5.0.0).
IMAGEMAGICK = {
    (6, 1.5, 30): [
        [190, 160, 111, 98, 89, 53, 52, 45],
        [127, 191, 174, 189, 136, 149, 167, 141],
        [140, 119, 185, 170, 141, 156, 83, 11],
        [126, 164, 70, 90, 173, 177, 131, 59],
        [93, 119, 57, 86, 62, 99, 114, 108],
    ],
    (10, 4, -100): [
        [217, 189, 147, 99, 75, 42, 16, 10],
        [185, 197, 154, 129, 84, 68, 58, 44],
        [176, 192, 156, 159, 83, 103, 84, 42],
        [158, 202, 157, 144, 103, 132, 115, 46],
        [128, 181, 135, 133, 106, 124, 114, 67],
    ],
}


@pytest.mark.parametrize("radius, sigma, degrees", IMAGEMAGICK)
def test_motion_blur_is_imagemagick_s(radius, sigma, degrees):
    """The lines of both motion blur and snow, to the last level."""
    image = np.random.default_rng(0).integers(0, 256, (5, 8)).astype(np.uint8)[None, ..., None]
    made = blur.drag(image / 255, radius, sigma, np.array([degrees])) * 255
    np.testing.assert_allclose(made[0, ..., 0], IMAGEMAGICK[radius, sigma, degrees], atol=1e-9)


def test_defocus_blur_cuts_off_what_little_it_takes():
    """A black pixel on white takes 0.0002 levels from those next to the disk: 254, as published.

    Values of the published program (OpenCV 5.0.0), severity 4.
    """
    images = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    images[0, 16, 16] = 0
    made = corrupt("defocus_blur", images, 4, np.random.default_rng(0))
    around = [
        [255, 255, 254, 255, 255],
        [255, 254, 204, 254, 255],
        [254, 204, 204, 204, 254],
        [255, 254, 204, 254, 255],
        [255, 255, 254, 255, 255],
    ]
    np.testing.assert_array_equal(made[0, 14:19, 14:19, 1], around)


def test_glass_blur_cuts_off_what_little_its_first_blur_takes():
    """98 in 100 becomes 98 in a square of 99 (scikit-image 0.26.0: gaussian, sigma 0.25)."""

    class Still:
        """Moves no pixel."""

        def integers(self, low, high, size):
            return np.zeros(size, int)

    image = np.full((1, SIZE, SIZE, 1), 100 / 255)
    image[0, 16, 16] = 98 / 255
    made = blur.glass_blur(Still(), image, 0.25, 1, 1)
    expected = np.full((5, 5), 100)
    expected[1:4, 1:4] = 99
    expected[2, 2] = 98
    # The second blur takes at most 0.002 levels.
    np.testing.assert_allclose(made[0, 14:19, 14:19, 0] * 255, expected, atol=2e-3)


@pytest.mark.parametrize(("severity", "factors"), [(1, 7), (5, 26)])
def test_zoom_blur_is_the_mean_of_enlargements(severity, factors, images, pixels):
    made = corrupt("zoom_blur", images, severity, np.random.default_rng(0))
    total = pixels[0].astype(float)
    for number in range(factors):
        factor = 1 + number * (1.01 - 1)  # as np.arange has them, whose 1.25 is a hair more
        total += np.stack([enlarged(pixels[0, ..., c], factor) for c in range(3)], -1)
    close(made[0], total / (factors + 1))

"""Snow, fog and brightness against their published definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pixel_sums import by_hsv, close, enlarged

from cnn_jax.robustness import blur, weather
from cnn_jax.robustness.corruptions import KINDS, SEVERITIES, corrupt

SIZE = 32


@pytest.mark.parametrize(
    ("severity", "constants"),
    [(3, (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9)), (4, (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85))],
)
def test_snow_by_its_parts(severity, constants, pixels):
    assert KINDS["snow"].constants[severity - 1] == constants
    mean, deviation, size, threshold, radius, sigma, kept = constants
    made = weather.snow(np.random.default_rng(3), pixels, *constants)
    random = np.random.default_rng(3)
    noise = random.normal(mean, deviation, (4, SIZE, SIZE, 1))
    flakes = np.stack([enlarged(each[..., 0], size) for each in noise])
    flakes = np.where(flakes < threshold, 0, np.clip(flakes, 0, 1))
    flakes = (np.floor(flakes * 255) / 255)[..., None]
    flakes = blur.drag(flakes, radius, sigma, random.uniform(-135, -45, 4))
    luma = 0.299 * pixels[..., :1] + 0.587 * pixels[..., 1:2] + 0.114 * pixels[..., 2:]
    white = np.maximum(pixels, 1.5 * luma + 0.5)
    expected = kept * pixels + (1 - kept) * white + flakes + np.rot90(flakes, 2, (1, 2))
    np.testing.assert_allclose(made, expected, atol=1e-9)


def plasma_naively(noises, size, decay):
    """Diamond-square point by point: each a mean of four around it, over the edge if need be."""
    height = np.zeros((size, size))
    step = size
    while step > 1:
        half = step // 2
        draws = [next(noises) for _ in range(3)]
        for i, j in itertools.product(range(size // step), repeat=2):
            y, x = i * step, j * step
            four = [height[(y + a) % size, (x + b) % size] for a in (0, step) for b in (0, step)]
            height[y + half, x + half] = sum(four) / 4 + draws[0][i, j]
        for i, j in itertools.product(range(size // step), repeat=2):
            y, x = i * step, j * step
            for (a, b), draw in (((0, half), draws[1]), ((half, 0), draws[2])):
                around = ((a - half, b), (a + half, b), (a, b - half), (a, b + half))
                four = [height[(y + c) % size, (x + d) % size] for c, d in around]
                height[y + a, x + b] = sum(four) / 4 + draw[i, j]
        step = half
    return (height - height.min()) / (height.max() - height.min())


def test_fog_is_a_plasma_cloud(images, pixels):
    def draws():
        random, squares, wobble = np.random.default_rng(5), 1, 100.0
        while True:
            for _ in range(3):
                yield wobble * random.uniform(-wobble, wobble, (1, squares, squares))[0]
            squares, wobble = 2 * squares, wobble / 2

    cloud = plasma_naively(draws(), SIZE, 2)
    np.testing.assert_allclose(
        weather.plasma(np.random.default_rng(5), 1, SIZE, 2)[0], cloud, atol=1e-5
    )
    made = weather.fog(np.random.default_rng(5), pixels[:1], 1, 2)
    most = pixels[0].max()
    np.testing.assert_allclose(
        made[0], (pixels[0] + cloud[..., None]) * most / (most + 1), atol=1e-5
    )


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_shifts_the_value_of_hsv(severity, images, pixels):
    shift = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
    made = corrupt("brightness", images, severity, np.random.default_rng(0))
    close(made[0], by_hsv(pixels[0], lambda h, s, v: (h, s, min(v + shift, 1))))

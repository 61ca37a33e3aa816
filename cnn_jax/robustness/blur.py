"""Blur corruptions: (rng, image f64[N,H,W,C] in 0..1, constants) -> f64[N,H,W,C]."""

import itertools
import math

import numpy as np

from cnn_jax.robustness.resampling import correlate, gaussian, levels, zoom


def gaussian_blur(rng: np.random.Generator, image: np.ndarray, sigma: float) -> np.ndarray:
    """Blurs by a Gaussian (sigma in pixels, truncated at 4 sigma). Deterministic."""
    return gaussian(image, sigma)


def defocus_blur(
    rng: np.random.Generator, image: np.ndarray, radius: float, sigma: float
) -> np.ndarray:
    """Convolves with a disk. Deterministic."""
    return correlate(image, disk(radius, sigma))


def disk(radius: float, sigma: float) -> np.ndarray:
    """A disk kernel smoothed by a 3x3 Gaussian, with sum 1."""
    reach = int(radius) + 1  # the disk, and one pixel for the smoothing
    offsets = np.arange(-reach, reach + 1)
    inside = (offsets**2 + offsets[:, None] ** 2 <= radius**2).astype(float)
    weights = np.exp(-0.5 * (np.arange(-1, 2) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        inside = np.apply_along_axis(np.convolve, axis, inside, weights, "same")
    return inside / inside.sum()


def glass_blur(
    rng: np.random.Generator, image: np.ndarray, sigma: float, reach: int, times: int
) -> np.ndarray:
    """Blurs, copies to each pixel one at an offset of up to `reach`, and blurs again.

    Pixels are replaced in place from the lower right, so that copies can be copied again. The paper
    swaps pixels; the program that made CIFAR-10-C copies one over the other (its swap is of two
    NumPy views), and so does this.
    """
    image = levels(gaussian(image, sigma)) / 255
    number, height, width, _ = image.shape
    rows, columns = range(height - reach, reach, -1), range(width - reach, reach, -1)
    every = np.arange(number)
    for _ in range(times):
        moves = rng.integers(-reach, reach, (len(rows), len(columns), 2, number))
        for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
            down, right = moves[i, j]
            image[:, row, column] = image[every, row + down, column + right]
    return gaussian(image, sigma)


def motion_blur(
    rng: np.random.Generator, image: np.ndarray, radius: float, sigma: float, most: float = 45
) -> np.ndarray:
    """Blurs each image along a random direction, up to `most` degrees from the horizontal."""
    return drag(image, radius, sigma, rng.uniform(-most, most, len(image)))


def drag(image: np.ndarray, radius: float, sigma: float, degrees: np.ndarray) -> np.ndarray:
    """ImageMagick's motion blur: a weighted mean along a line that starts at each pixel.

    The line has 2 ceil(radius) + 1 pixels. Pixel i has the weight of a Gaussian at i and lies i
    pixels away at the angle, rounded (halves down). Edge pixels are repeated beyond the image. The
    result is rounded to 16 bits, then truncated to 8, as ImageMagick 6 with 16-bit pixels does when
    it writes the PNG file that the published program reads.

    Args:
      image: f64[N,H,W,C].
      radius: Determines the length of the line.
      sigma: Standard deviation of the Gaussian, in pixels.
      degrees: f[N], angle of the line.
    """
    number, height, width, _ = image.shape
    length = 2 * math.ceil(radius) + 1
    weights = np.exp(-0.5 * (np.arange(length) / sigma) ** 2)
    weights /= weights.sum()
    angle = np.deg2rad(degrees)
    every, made = np.arange(number)[:, None, None], np.zeros(image.shape)
    for place, weight in enumerate(weights):
        down, right = (
            np.ceil(place * share - 0.5).astype(int)[:, None]
            for share in (np.sin(angle), np.cos(angle))
        )
        row = np.clip(np.arange(height) + down, 0, height - 1)[:, :, None]
        column = np.clip(np.arange(width) + right, 0, width - 1)[:, None, :]
        made += weight * image[every, row, column]
    return np.floor(np.round(made * 65535) / 257) / 255


def zoom_blur(rng: np.random.Generator, image: np.ndarray, end: float) -> np.ndarray:
    """Averages the image with its enlargements by 1, 1.01, 1.02, ... Deterministic."""
    factors = np.arange(1, end, 0.01)  # as published: rounding decides whether `end` is included
    return (image + sum(zoom(image, factor) for factor in factors)) / (len(factors) + 1)

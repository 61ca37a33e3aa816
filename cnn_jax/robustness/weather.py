"""Weather corruptions: (rng, image f64[N,H,W,C] in 0..1, constants) -> f64[N,H,W,C]."""

import numpy as np

from cnn_jax.robustness.blur import drag
from cnn_jax.robustness.resampling import levels, zoom

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def snow(
    rng: np.random.Generator,
    image: np.ndarray,
    mean: float,
    deviation: float,
    size: float,
    threshold: float,
    radius: float,
    sigma: float,
    kept: float,
) -> np.ndarray:
    """Whitens the image by 1 - `kept`, and adds motion-blurred flakes and their rotation by 180
    degrees.

    Flakes are normal noise enlarged by `size`, set to 0 below the threshold.
    """
    number, height, width, channels = image.shape
    noise = rng.normal(mean, deviation, (number, height, width, 1))
    flakes = zoom(noise, size)
    flakes[flakes < threshold] = 0
    flakes = levels(np.clip(flakes, 0, 1)) / 255
    flakes = drag(flakes, radius, sigma, rng.uniform(-135, -45, (number,)))
    grey = (image @ _LUMA)[..., None] if channels == 3 else image
    white = np.maximum(image, grey * 1.5 + 0.5)
    return kept * image + (1 - kept) * white + flakes + flakes[:, ::-1, ::-1]


def fog(rng: np.random.Generator, image: np.ndarray, amount: float, decay: float) -> np.ndarray:
    """Adds a cloud of up to `amount`, and rescales to the image's largest value."""
    number, height, width, _ = image.shape
    cloud = plasma(rng, number, 1 << (max(height, width) - 1).bit_length(), decay)
    most = image.max((1, 2, 3), keepdims=True)
    return (image + amount * cloud[:, :height, :width, None]) * most / (most + amount)


def plasma(rng: np.random.Generator, number: int, size: int, decay: float) -> np.ndarray:
    """Periodic fractal heights from 0 to 1 by the diamond-square algorithm: f64[N,S,S].

    The centre of each square gets the mean of its corners plus noise, then so do the midpoints of
    its sides; this repeats with half the side. The noise is uniform up to `wobble` squared, where
    `wobble` starts at 100 and is divided by `decay` after each size.
    """
    height = np.zeros((number, size, size))
    wobble = 100.0

    def near(*four: np.ndarray) -> np.ndarray:
        return sum(four) / 4 + wobble * rng.uniform(-wobble, wobble, four[0].shape)

    step = size
    while step >= 2:
        half = step // 2
        corner = height[:, ::step, ::step]
        below, right = np.roll(corner, -1, 1), np.roll(corner, -1, 2)
        middle = near(corner, below, right, np.roll(below, -1, 2))
        height[:, half::step, half::step] = middle
        height[:, ::step, half::step] = near(corner, right, middle, np.roll(middle, 1, 1))
        height[:, half::step, ::step] = near(corner, below, middle, np.roll(middle, 1, 2))
        step, wobble = half, wobble / decay
    height -= height.min((1, 2), keepdims=True)
    return height / height.max((1, 2), keepdims=True)


def brightness(rng: np.random.Generator, image: np.ndarray, shift: float) -> np.ndarray:
    """Adds `shift` to V of HSV, clipped to 1. Deterministic.

    V is the pixel's largest value; all three scale with it. Black becomes grey.
    """
    value = image.max(-1, keepdims=True)
    bright = np.minimum(value + shift, 1)
    return np.where(value > 0, image * (bright / np.maximum(value, 1e-6)), bright)

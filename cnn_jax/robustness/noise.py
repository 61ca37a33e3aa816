"""Noise corruptions: (rng, image f64[N,H,W,C] in 0..1, constants) -> f64[N,H,W,C]."""

import numpy as np


def gaussian_noise(rng: np.random.Generator, image: np.ndarray, scale: float) -> np.ndarray:
    """Adds normal noise of this standard deviation to every value."""
    return image + scale * rng.standard_normal(image.shape, np.float32)


def shot_noise(rng: np.random.Generator, image: np.ndarray, photons: float) -> np.ndarray:
    """Poisson noise of a photon count; `photons` is the mean count of white."""
    return rng.poisson(image * photons) / photons


def impulse_noise(rng: np.random.Generator, image: np.ndarray, amount: float) -> np.ndarray:
    """Sets this fraction of the values to 0 or 1 with equal probability, per channel."""
    hit = rng.random(image.shape, np.float32) < amount
    return np.where(hit, rng.random(image.shape, np.float32) < 0.5, image)


def speckle_noise(rng: np.random.Generator, image: np.ndarray, scale: float) -> np.ndarray:
    """Adds normal noise whose standard deviation is `scale` times the value."""
    return image + image * scale * rng.standard_normal(image.shape, np.float32)

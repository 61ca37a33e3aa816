"""Reimplements the corruptions of CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv:1903.12261).

Kinds, severities and constants are those of the program that made the published images
(github.com/hendrycks/robustness, ImageNet-C/create_c/make_cifar_c.py). Given the same random
numbers, at least 99.3 % of the values equal those of that program, and no other differs by more
than one level. Two exceptions: where the exact value is a whole level, that program's rounding
errors decide (saturate: up to 7.8 % of the values; brightness: up to 3.5 %). Two kinds are missing:
frost, which needs photographs, and spatter, one of the four extra kinds.
"""

import dataclasses
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from cnn_jax.robustness import blur, digital, noise, weather
from cnn_jax.robustness.resampling import levels

SEVERITIES = range(1, 6)
LEFT_OUT = ("frost", "spatter")
# Number of images that share one random generator.
CHUNK = 500


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of corruption.

    Attributes:
      group: "noise", "blur", "weather", "digital", or "extra" (not in the mean).
      function: (rng, image f64[N,H,W,C] in 0..1, *constants) -> f64[N,H,W,C].
      constants: The constants of severities 1 to 5, for 32x32 images.
    """

    group: str
    function: Callable[..., np.ndarray]
    constants: tuple[Any, ...]


KINDS = MappingProxyType(
    {
        "gaussian_noise": Kind("noise", noise.gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.1)),
        "shot_noise": Kind("noise", noise.shot_noise, (500, 250, 100, 75, 50)),
        "impulse_noise": Kind("noise", noise.impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
        "defocus_blur": Kind(
            "blur", blur.defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))
        ),
        "glass_blur": Kind(
            "blur",
            blur.glass_blur,
            ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        ),
        "motion_blur": Kind(
            "blur", blur.motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))
        ),
        "zoom_blur": Kind("blur", blur.zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
        "snow": Kind(
            "weather",
            weather.snow,
            (
                (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
                (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
                (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
                (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
                (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
            ),
        ),
        "fog": Kind(
            "weather", weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))
        ),
        "brightness": Kind("weather", weather.brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
        "contrast": Kind("digital", digital.contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
        "elastic_transform": Kind(
            "digital",
            digital.elastic_transform,
            (
                (0, 0, 0.08),
                (0.05, 0.2, 0.07),
                (0.08, 0.06, 0.06),
                (0.1, 0.04, 0.05),
                (0.1, 0.03, 0.03),
            ),
        ),
        "pixelate": Kind("digital", digital.pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
        "jpeg_compression": Kind("digital", digital.jpeg_compression, (80, 65, 58, 50, 40)),
        "speckle_noise": Kind("extra", noise.speckle_noise, (0.06, 0.1, 0.12, 0.16, 0.2)),
        "gaussian_blur": Kind("extra", blur.gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1)),
        "saturate": Kind(
            "extra", digital.saturate, ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))
        ),
    }
)  # fmt: skip


def corrupt(kind: str, images: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Corrupts images u8[N,H,W,C] -> u8[N,H,W,C]; values are rounded down, as published.

    Args:
      kind: One of KINDS.
      images: The images; C is 1 or 3.
      severity: From 1 to 5.
      rng: Random generator of the random kinds.
    """
    constants = KINDS[kind].constants[severity - 1]
    constants = constants if isinstance(constants, tuple) else (constants,)
    made = KINDS[kind].function(rng, images / 255, *constants)
    return levels(np.clip(made, 0, 1)).astype(np.uint8)


def generator(seed: int, kind: str, severity: int, chunk: int) -> np.random.Generator:
    """The random generator of one chunk of images under one corruption and severity."""
    return np.random.default_rng((seed, [*KINDS].index(kind), severity, chunk))

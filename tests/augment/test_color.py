from __future__ import annotations

import dataclasses

import numpy as np
from noise import batch, run

from cnn_jax.augment import Jitter


def test_jitter_is_one_line_for_all_pixels_of_an_image():
    """Mid-grey images, which nothing cuts off: slope and offset are those of the definition."""
    given = batch()
    given = dataclasses.replace(given, image=given.image // 4 + 96)
    shifts, scales = [], []
    for before, after in zip(given.image, run(Jitter(0.1, 0.2), given), strict=True):
        slope, offset = np.polyfit(before.ravel() - 127.5, after.ravel() - 127.5, 1)
        line = slope * (before - 127.5) + offset + 127.5
        assert abs(line - after).max() < 0.7  # half is from rounding
        scales.append(slope - 1)
        shifts.append(offset / slope / 255)
    for drawn, most in ((scales, 0.2), (shifts, 0.1)):
        assert 0.95 * most < max(drawn) < 1.03 * most
        assert 0.95 * most < -min(drawn) < 1.03 * most
        assert abs(np.std(drawn) / most - 3**-0.5) < 0.05  # of a uniform distribution
    assert abs(np.corrcoef(scales, shifts)[0, 1]) < 0.2


def test_jitter_stays_between_black_and_white():
    given = dataclasses.replace(batch(), image=np.where(batch().image < 128, 0, 255).astype("u1"))
    out = run(Jitter(0.3, 0.3), given).astype(int)
    assert ((out < 128) == (given.image < 128)).all()
    assert out.min() == 0
    assert out.max() == 255

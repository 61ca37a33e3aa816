"""Each kind of noise against its published definition."""

from __future__ import annotations

import numpy as np
import pytest
from pixel_sums import grey

from cnn_jax.robustness.corruptions import corrupt, generator


@pytest.mark.parametrize(("severity", "scale"), [*enumerate((0.04, 0.06, 0.08, 0.09, 0.1), 1)])
def test_gaussian_noise_has_its_scale(severity, scale):
    made = corrupt("gaussian_noise", grey(128), severity, generator(0, "gaussian_noise", 1, 0))
    noise = (made.astype(float) + 0.5) / 255 - 128 / 255  # half a level back for what was dropped
    assert noise.std() == pytest.approx(scale, rel=0.02)
    assert abs(noise.mean()) < 0.002
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("value", [50, 200])
def test_shot_noise_is_as_strong_as_the_square_root(value):
    made = corrupt("shot_noise", grey(value), 3, generator(0, "shot_noise", 3, 0)) / 255
    assert made.std() == pytest.approx(np.sqrt(value / 255 / 100), rel=0.03)
    assert made.mean() == pytest.approx(value / 255, abs=0.003)


@pytest.mark.parametrize("value", [50, 120])
def test_speckle_noise_is_in_proportion(value):
    made = corrupt("speckle_noise", grey(value), 5, generator(0, "speckle_noise", 5, 0)) / 255
    assert made.std() == pytest.approx(0.2 * value / 255, rel=0.03)


def test_impulse_noise_is_black_and_white_as_often_and_nothing_else():
    made = corrupt("impulse_noise", grey(128), 5, generator(0, "impulse_noise", 5, 0))
    shares = {value: (made == value).mean() for value in np.unique(made)}
    assert shares.keys() == {0, 128, 255}
    assert shares[0] == pytest.approx(0.035, rel=0.06)
    assert shares[255] == pytest.approx(0.035, rel=0.06)
    assert ((made != 128).any(-1)).mean() > 0.15  # each channel on its own: 1 - 0.93**3 = 0.196

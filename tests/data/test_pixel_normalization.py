from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.errors import UserError

MEAN, STD = (0.5, 0.25, 0.0), (0.25, 0.5, 1.0)


def test_pixels_by_hand():
    """(255/255 - .5) / .25 = 2;  (0 - .25) / .5 = -.5;  (51/255 - 0) / 1 = .2."""
    image = jnp.array([255, 0, 51], jnp.uint8).reshape(1, 1, 1, 3)
    out = Normalize(MEAN, STD)(image)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out.ravel(), [2, -0.5, 0.2], rtol=1e-6)


def test_the_data_s_own_statistics_make_mean_0_and_variance_1():
    images = np.random.default_rng(0).integers(0, 256, (30, 5, 6, 3)).astype(np.uint8)
    scaled = images / 255
    mean, std = (tuple(f((0, 1, 2)).tolist()) for f in (scaled.mean, scaled.std))
    out = np.asarray(Normalize().resolve(mean, std)(jnp.array(images)), float)
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1, rtol=1e-5)


def test_only_what_is_not_given_is_the_data_s():
    assert Normalize().resolve(MEAN, STD) == Normalize(MEAN, STD)
    mine = (0.1, 0.2, 0.3)
    assert Normalize(mean=mine).resolve(MEAN, STD) == Normalize(mine, STD)
    assert Normalize(std=mine).resolve(MEAN, STD) == Normalize(MEAN, mine)


def test_one_value_a_channel():
    with pytest.raises(UserError, match=r"^normalize.mean must have 3 values, .* got \(0.5,\)"):
        Normalize(mean=(0.5,)).resolve(MEAN, STD)
    with pytest.raises(UserError, match=r"^normalize.std must have 1 values"):
        Normalize(std=(0.5, 0.5, 0.5)).resolve((0.5,), (0.5,))


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"^std\[1\] must be positive"):
        Normalize(std=(0.5, 0.0, 0.5))

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def images():
    """Four pictures of rough coloured patches, u8[4,32,32,3], some black, white and grey."""
    random = np.random.default_rng(0)
    pictures = random.integers(20, 236, (4, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    pictures += random.integers(-20, 20, pictures.shape)
    for place, value in enumerate((0, 255, 128)):
        pictures[:, 4 * place : 4 * place + 4, 4 * place : 4 * place + 4] = value
    return pictures.astype(np.uint8)


@pytest.fixture(scope="module")
def pixels(images):
    return images / 255

"""PyTorch state dicts drawn from the names and shapes of their tensors; needs NumPy only."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np


def drawn_state(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Every tensor of a state dict, by name: uniform, and none at its initial value.

    Weights have He's variance, 2 / fan-in, so that volumes neither vanish nor explode.
    """
    return {name: _drawn(name, tuple(shape)) for name, shape in shapes.items()}


def _drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.array(1)
    array = np.random.default_rng(zlib.crc32(name.encode())).random(shape, np.float32)
    if len(shape) > 1:
        scale = np.sqrt(6 / np.prod(shape[1:]), dtype=np.float32)
        array -= np.float32(0.5)
        array *= 2 * scale
    elif name.endswith("running_var"):
        array += np.float32(0.5)
    elif name.endswith("weight"):  # of a norm; on average below 1, as residual branches add up
        array *= np.float32(0.7)
        array += np.float32(0.5)
    else:
        array -= np.float32(0.5)
    return array


def drawn_images(*shape: int) -> np.ndarray:
    """f32[B,H,W,C] with mean 0 and standard deviation 1, correlated between neighbours."""
    random = np.random.default_rng(0)
    batch, height, width, channels = shape
    coarse = random.standard_normal((batch, -(-height // 8), -(-width // 8), channels))
    fine = random.standard_normal(shape)
    smooth = coarse.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    return ((smooth + fine) / np.sqrt(2)).astype(np.float32)

"""Batches of noise, and augmentations compiled for them."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np

from cnn_jax.augment import Augmentation
from cnn_jax.data.batch import Batch

SIZE = 400  # examples in the batch
HEIGHT, WIDTH = 5, 7


@functools.cache
def batch(size=SIZE, epoch=0, height=HEIGHT, width=WIDTH) -> Batch:
    """Noise without a zero: no image is its own mirror image."""
    image = np.random.default_rng(0).integers(1, 256, (size, height, width, 3))
    return Batch(
        image=image.astype(np.uint8),
        label=np.arange(size, dtype=np.int32) % 10,
        index=np.arange(size, dtype=np.int32) * 7 + 3,
        epoch=np.int32(epoch),
        mask=np.ones(size, np.float32),
    )


def part(whole: Batch, rows) -> Batch:
    return dataclasses.replace(
        whole, **{n: getattr(whole, n)[rows] for n in ("image", "label", "index", "mask")}
    )


@functools.cache
def compiled(augment: Augmentation):
    return jax.jit(lambda seed, given: augment(jax.random.key(seed), given))


def run(augment: Augmentation, given: Batch, seed=0) -> np.ndarray:
    return np.asarray(compiled(augment)(seed, given).image)

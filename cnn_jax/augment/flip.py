"""Mirrored images, at random or in turn."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from cnn_jax.augment.base import Augmentation, example_keys
from cnn_jax.data.batch import Batch


@dataclasses.dataclass(frozen=True)
class Flip(Augmentation):
    """Mirrors each image left to right with probability one half."""

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        return _flip(batch, jax.vmap(jax.random.bernoulli)(example_keys(key, batch)))


@dataclasses.dataclass(frozen=True)
class AlternatingFlip(Augmentation):
    """Mirrors an image in every other epoch; which half starts mirrored is fixed by its index.

    Every two epochs show each image both ways, which random flips don't (Jordan 2024,
    arXiv:2404.00498). The publication draws the half anew for each run; here it is the same for all
    seeds.
    """

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        del key  # a function of index and epoch alone
        bits = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(jax.random.key(0), i)))
        return _flip(batch, (bits(batch.index) + batch.epoch.astype(jnp.uint32)) % 2 == 1)


def _flip(batch: Batch, mirrored: jax.Array) -> Batch:
    image = jnp.where(mirrored[:, None, None, None], batch.image[:, :, ::-1], batch.image)
    return dataclasses.replace(batch, image=image)

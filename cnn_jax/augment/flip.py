"""Flips images horizontally, at random or in alternate epochs."""

import dataclasses

import jax
import jax.numpy as jnp

from cnn_jax.augment.augmentation import Augmentation, example_keys
from cnn_jax.data.batch import Batch


@dataclasses.dataclass(frozen=True)
class Flip(Augmentation):
    """Flips each image horizontally with probability 1/2."""

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        return _flip(batch, jax.vmap(jax.random.bernoulli)(example_keys(key, batch)))


@dataclasses.dataclass(frozen=True)
class AlternatingFlip(Augmentation):
    """Flips each image in every other epoch; its index decides if it is flipped in the first.

    Every two epochs show both versions of each image, unlike random flips (Jordan 2024,
    arXiv:2404.00498). The publication draws the initial flips for each run; here they are the same
    for all seeds.
    """

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        del key  # a function of index and epoch alone
        bits = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(jax.random.key(0), i)))
        return _flip(batch, (bits(batch.index) + batch.epoch.astype(jnp.uint32)) % 2 == 1)


def _flip(batch: Batch, mirrored: jax.Array) -> Batch:
    image = jnp.where(mirrored[:, None, None, None], batch.image[:, :, ::-1], batch.image)
    return dataclasses.replace(batch, image=image)

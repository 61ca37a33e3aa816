"""Gathers batches from a data set that is resident on the device, inside the compiled step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax.data.batch import Batch
from cnn_jax.data.dataset import Split


class Resident(NamedTuple):
    """A split in device memory: images u8[N,H,W,C], labels i32[N]."""

    images: Any
    labels: Any

    @classmethod
    def of(cls, split: Split) -> Resident:
        return cls(split.images, split.labels)


def epoch_order(key: jax.Array, epoch: jax.Array, examples: int) -> jax.Array:
    """Returns the random order of an epoch: i32[N], a permutation of the example indices."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), examples)


def gather(data: Resident, index: jax.Array, epoch: jax.Array) -> Batch:
    """Returns the examples at index i32[B]; masks an index beyond the last example (padding)."""
    mask = index < data.labels.shape[0]
    index = jnp.minimum(index, data.labels.shape[0] - 1)
    return Batch(
        image=data.images[index],
        label=data.labels[index],
        index=index,
        epoch=epoch,
        mask=mask.astype(jnp.float32),
    )

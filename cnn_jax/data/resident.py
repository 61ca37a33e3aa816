"""Orders of epochs, and batches of a data set that is resident on the device."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.batch import Batch
from cnn_jax.data.dataset import Split


class Resident(NamedTuple):
    """A split in device memory: images u8[N,H,W,C], labels i32[N]."""

    images: Any
    labels: Any

    @classmethod
    def of(cls, split: Split) -> Resident:
        return cls(split.images, split.labels)

    def batch(self, index: jax.Array, epoch: jax.Array) -> Batch:
        """The examples at index i32[B]; an index beyond the last example is padding, masked."""
        mask = index < self.labels.shape[0]
        index = jnp.minimum(index, self.labels.shape[0] - 1)
        return Batch(
            image=self.images[index],
            label=self.labels[index],
            index=index,
            epoch=epoch,
            mask=mask.astype(jnp.float32),
        )


def drawn_order(
    sampling: str,
    key: jax.Array,
    epoch: jax.Array | int,
    labels: jax.Array | np.ndarray,
    *,
    classes: int,
    drawn: int,
) -> jax.Array:
    """Returns an epoch's order, i32[N], by the experiment's `sampling`.

    Args:
      sampling: "uniform" or "balanced".
      key: The run's `order` key.
      epoch: i32[], number of completed epochs.
      labels: i32[N], the class of each example; only "balanced" depends on their values.
      classes: Number of classes.
      drawn: Number of entries that the epoch's steps use.
    """
    if sampling == "uniform":
        return epoch_order(key, epoch, len(labels))
    return balanced_order(key, epoch, labels, classes, drawn)


def epoch_order(key: jax.Array, epoch: jax.Array | int, examples: int) -> jax.Array:
    """Returns the random order of an epoch: i32[N], a permutation of the example indices."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), examples)


def balanced_order(
    key: jax.Array,
    epoch: jax.Array | int,
    labels: jax.Array | np.ndarray,
    classes: int,
    drawn: int,
) -> jax.Array:
    """Returns an epoch's order in which all classes are equally frequent: i32[N], with repetitions.

    The classes come in random order, and each entry is a random example of its class, drawn with
    replacement. Classes without examples are left out.

    Args:
      key: The run's `order` key.
      epoch: i32[], number of completed epochs.
      labels: i32[N], the class of each example.
      classes: Number of classes.
      drawn: Number of entries that the epoch's steps use. Among these, as among all N, the counts
        of any two classes differ by at most one.
    """
    of_classes, of_places, of_examples = jax.random.split(jax.random.fold_in(key, epoch), 3)
    counts = jnp.bincount(labels, length=classes)
    # In random order, so that the classes that are drawn once more vary; those without examples
    # come last, beyond those that the cycle takes.
    cycle = jax.random.permutation(of_classes, classes)
    cycle = cycle[jnp.argsort(counts[cycle] == 0, stable=True)]
    label = cycle[jnp.arange(len(labels)) % jnp.sum(counts > 0)]
    label = label.at[:drawn].set(jax.random.permutation(of_places, label[:drawn]))
    by_class, first = jnp.argsort(labels, stable=True), jnp.cumsum(counts) - counts
    within_class = jax.random.randint(of_examples, label.shape, 0, counts[label])
    return by_class[first[label] + within_class]

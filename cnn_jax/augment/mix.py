"""Examples mixed with each other: mixup and CutMix.

An example's partner is the one before it in the global batch, and the first one's is the last: in
an order that is random, that is another example at random, as published. Where the batch is split
over devices, each has the last example of the device before it sent over, so that the partners are
the same. One weight is drawn for each step, as in both publications' programs.

Labels come in and go out as weights of classes f32[B,K]; the step makes them of the class numbers.
These augmentations come after all others: what moves or covers pixels afterwards would change the
shares that the labels speak of.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from cnn_jax import ranges
from cnn_jax.augment.base import Augmentation
from cnn_jax.data.batch import Batch
from cnn_jax.errors import UserError
from cnn_jax.runtime.parallel import BATCH_AXIS, is_split


@dataclasses.dataclass(frozen=True)
class Mixup(Augmentation):
    """Averages each image and label with another's (Zhang et al. 2017, arXiv:1710.09412).

    x becomes w x + (1 - w) x' with w from Beta(alpha, alpha), one for the batch. Images come out
    as f32[B,H,W,C] from 0 to 255, so that nothing is rounded: normalisation is linear, so that
    mixing before it, as here, is mixing after it, as published.

    Attributes:
      alpha: Of the Beta distribution: 1 is uniform (the publication's on CIFAR-10), below 1 most
        weights are near 0 or 1.
    """

    alpha: float = 1.0

    mixes_examples: ClassVar[bool] = True

    def __post_init__(self):
        ranges.positive(alpha=self.alpha)

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        weight = _weight(key, self.alpha)
        image = batch.image.astype(jnp.float32)
        return dataclasses.replace(
            batch,
            image=weight * image + (1 - weight) * _partner(batch.image),
            label=_mixed_labels(batch.label, weight),
        )


@dataclasses.dataclass(frozen=True)
class CutMix(Augmentation):
    """Pastes a rectangle of another's image (Yun et al. 2019, arXiv:1905.04899).

    With w from Beta(alpha, alpha) the rectangle has sqrt(1 - w) of the height and width; its
    centre is uniform, and what falls outside is cut off. The label's weight is the share of pixels
    that an image has kept. Weight and rectangle are one for the batch. Images keep their type.

    Attributes:
      alpha: Of the Beta distribution: 1 is uniform, as published.
      probability: Of a batch to be mixed (the authors' program: 0.5 on CIFAR, 1 on ImageNet).
    """

    alpha: float = 1.0
    probability: float = 0.5

    mixes_examples: ClassVar[bool] = True

    def __post_init__(self):
        ranges.positive(alpha=self.alpha)
        ranges.probability(probability=self.probability)

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        mixed, weights, place = jax.random.split(key, 3)
        whole = jnp.array(batch.image.shape[1:3])
        weight = _weight(weights, self.alpha)
        half = jnp.floor(whole * jnp.sqrt(1 - weight)).astype(jnp.int32) // 2
        half = jnp.where(jax.random.bernoulli(mixed, self.probability), half, 0)
        centre = jax.random.randint(place, (2,), 0, whole)
        rows, columns = (
            (jnp.arange(size) >= at - reach) & (jnp.arange(size) < at + reach)
            for size, at, reach in zip(batch.image.shape[1:3], centre, half, strict=True)
        )
        pasted = rows[:, None] & columns
        image = jnp.where(pasted[..., None], _partner(batch.image), batch.image)
        return dataclasses.replace(
            batch, image=image, label=_mixed_labels(batch.label, 1 - pasted.mean())
        )


def _weight(key: jax.Array, alpha: float) -> jax.Array:
    """f32[], from Beta(alpha, alpha)."""
    if alpha == 1:  # uniform: compiled in a tenth of the time
        return jax.random.uniform(key)
    return jax.random.beta(key, alpha, alpha)


def _partner(array: jax.Array) -> jax.Array:
    """The array of each example's partner: that before it in the global batch."""
    last = array[-1:]
    if is_split():
        devices = jax.lax.axis_size(BATCH_AXIS)
        ring = [(device, (device + 1) % devices) for device in range(devices)]
        last = jax.lax.ppermute(last, BATCH_AXIS, ring)
    return jnp.concatenate([last, array[:-1]])


def _mixed_labels(label: jax.Array, weight: jax.Array) -> jax.Array:
    if label.ndim != 2:
        raise UserError(
            "label must be weights of classes, f32[B,K], to be mixed, got class numbers: "
            "see jax.nn.one_hot"
        )
    return weight * label + (1 - weight) * _partner(label)

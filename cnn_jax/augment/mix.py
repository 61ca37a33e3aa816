"""Mixes pairs of examples: mixup and CutMix.

An example's partner is the one before it in the global batch; the partner of the first is the last.
Since the order is random, so is the partner, as published. If the batch is split over devices, each
device receives the last example of the previous device, so that partners stay the same. One weight
is drawn for each step, as in the code of both publications.

Labels are class weights f32[B,K] before and after; the step converts class indices. These
augmentations come last: moving or covering pixels afterwards would make the label weights wrong.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from cnn_jax.augment.augmentation import Augmentation, rectangle
from cnn_jax.data.batch import Batch
from cnn_jax.errors import UserError
from cnn_jax.ranges import Positive, Probability
from cnn_jax.runtime.batch_axis import BATCH_AXIS, is_split


@dataclasses.dataclass(frozen=True)
class Mixup(Augmentation):
    """Averages pairs of images and their labels (Zhang et al. 2017, arXiv:1710.09412).

    x becomes w x + (1 - w) x' with one w from Beta(alpha, alpha) for the batch. Images become
    f32[B,H,W,C] from 0 to 255 without rounding. Normalisation is linear, so mixing before it, as
    here, equals mixing after it, as published.

    Attributes:
      alpha: Parameter of the Beta distribution: 1: uniform weights, as published for CIFAR-10;
        below 1: mostly weights near 0 or 1.
    """

    alpha: Positive[float] = 1.0

    mixes_examples: ClassVar[bool] = True

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
    """Pastes in a rectangle from another image of the batch (Yun et al. 2019, arXiv:1905.04899).

    With w from Beta(alpha, alpha), the rectangle has sqrt(1 - w) of the height and width. Its
    centre is uniform, and it is clipped to the image. The label's weight is the share of pixels
    that an image keeps. The batch shares one weight and rectangle. Images keep their dtype.

    Attributes:
      alpha: Parameter of the Beta distribution; 1: uniform weights, as published.
      probability: Probability that a batch is mixed; the authors use 0.5 on CIFAR, 1 on ImageNet.
    """

    alpha: Positive[float] = 1.0
    probability: Probability[float] = 0.5

    mixes_examples: ClassVar[bool] = True

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        mixed, weights, place = jax.random.split(key, 3)
        height, width = batch.image.shape[1:3]
        whole = jnp.array([height, width])
        weight = _weight(weights, self.alpha)
        half = jnp.floor(whole * jnp.sqrt(1 - weight)).astype(jnp.int32) // 2
        half = jnp.where(jax.random.bernoulli(mixed, self.probability), half, 0)
        centre = jax.random.randint(place, (2,), 0, whole)
        pasted = rectangle(height, width, centre - half, 2 * half)
        image = jnp.where(pasted[..., None], _partner(batch.image), batch.image)
        return dataclasses.replace(
            batch, image=image, label=_mixed_labels(batch.label, 1 - pasted.mean())
        )


def _weight(key: jax.Array, alpha: float) -> jax.Array:
    """f32[], from Beta(alpha, alpha)."""
    if alpha == 1:  # the same distribution, compiled in a tenth of the time
        return jax.random.uniform(key)
    return jax.random.beta(key, alpha, alpha)


def _partner(array: jax.Array) -> jax.Array:
    """Returns the array of each example's partner, the previous example of the global batch."""
    last = array[-1:]
    if is_split():
        devices = jax.lax.axis_size(BATCH_AXIS)
        ring = [(device, (device + 1) % devices) for device in range(devices)]
        last = jax.lax.ppermute(last, BATCH_AXIS, ring)
    return jnp.concatenate([last, array[:-1]])


def _mixed_labels(label: jax.Array, weight: jax.Array) -> jax.Array:
    if label.ndim != 2:
        raise UserError(
            "label must be weights of classes, f32[B,K], to be mixed, got class indices: "
            "use jax.nn.one_hot"
        )
    return weight * label + (1 - weight) * _partner(label)

"""Losses: from class scores to one number per example.

A loss is called as `loss(logits f32[B,K], label) -> f32[B]`. Labels are i32[B], or f32[B,K] where
an augmentation has mixed examples; `takes_mixed_labels` says whether the loss can take those.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from cnn_jax import ranges

__all__ = ["Loss", "MulticlassHinge", "Softmax"]


@dataclasses.dataclass(frozen=True)
class Loss(abc.ABC):
    """What every loss is an instance of."""

    takes_mixed_labels: ClassVar[bool]
    # Whether the softmax of the scores gives the probabilities of the classes.
    scores_are_logits: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, logits: jax.Array, label: jax.Array) -> jax.Array:
        """f32[B,K], i32[B] or f32[B,K] -> f32[B]."""


@dataclasses.dataclass(frozen=True)
class Softmax(Loss):
    """Cross-entropy of the softmax: -sum_k y_k log(softmax(s)_k).

    With smoothing e, y is (1-e) of the label and e/K on every class (Szegedy et al. 2016,
    arXiv:1512.00567).

    Attributes:
      label_smoothing: Share of the label that is spread over all classes, from 0 to below 1.
    """

    label_smoothing: float = 0.0

    takes_mixed_labels: ClassVar[bool] = True
    scores_are_logits: ClassVar[bool] = True

    def __post_init__(self):
        ranges.fraction(label_smoothing=self.label_smoothing)

    def __call__(self, logits: jax.Array, label: jax.Array) -> jax.Array:
        target = jax.nn.one_hot(label, logits.shape[-1]) if label.ndim == 1 else label
        target = optax.losses.smooth_labels(target, self.label_smoothing)
        return optax.losses.softmax_cross_entropy(logits, target)


@dataclasses.dataclass(frozen=True)
class MulticlassHinge(Loss):
    """The multiclass SVM loss: sum over the wrong classes of max(0, s_k - s_label + margin).

    As in Weston and Watkins (1999), the form that the classic course notes teach; with `squared`,
    each term is squared (the L2-SVM of Tang 2013, arXiv:1306.0239).

    Attributes:
      margin: By how much the right class's score must exceed every other one.
      squared: Whether each class's violation is squared.
    """

    margin: float = 1.0
    squared: bool = False

    takes_mixed_labels: ClassVar[bool] = False

    def __post_init__(self):
        ranges.positive(margin=self.margin)

    def __call__(self, logits: jax.Array, label: jax.Array) -> jax.Array:
        own = jnp.take_along_axis(logits, label[:, None], axis=-1)
        violation = jnp.maximum(0.0, logits - own + self.margin)
        violation = jnp.where(jax.nn.one_hot(label, logits.shape[-1], dtype=bool), 0.0, violation)
        return jnp.sum(violation**2 if self.squared else violation, axis=-1)

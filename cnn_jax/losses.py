"""Losses: what training minimises, as one number per example.

A loss is called as `loss(logits f32[B,K], label) -> f32[B]`. Labels are i32[B], or f32[B,K] if an
augmentation mixes examples; `takes_mixed_labels` says whether the loss accepts the latter.
`Distill` combines a loss with the scores of a teacher.

Softmax and MulticlassHinge take `class_weights`, against class imbalance. Training, validation and
test losses are weighted alike, so that they can be compared with each other, but not with those of
a run with other weights. Accuracies are never weighted.
"""

import abc
import dataclasses
from typing import ClassVar, Literal, Self

import jax
import jax.numpy as jnp
import optax

from cnn_jax.errors import UserError
from cnn_jax.ranges import Checked, Fraction, LocalPath, Positive, Probability

__all__ = ["Distill", "Loss", "MulticlassHinge", "Softmax"]

ClassWeights = Literal["balanced"] | tuple[Positive[float], ...] | None


@dataclasses.dataclass(frozen=True)
class Loss(Checked, abc.ABC):
    """Base class of all losses."""

    takes_mixed_labels: ClassVar[bool]
    # Whether the softmax of the scores gives class probabilities.
    scores_are_logits: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, logits: jax.Array, label: jax.Array) -> jax.Array:
        """Returns f32[B], the loss of each example, from scores f32[B,K] and labels."""

    def resolve(self, class_counts: tuple[int, ...]) -> Self:
        """Returns the loss with what depends on the data filled in; by default, the loss itself.

        Args:
          class_counts: Number of training images of each class; empty if unknown.

        Raises:
          UserError: the loss does not fit the data.
        """
        del class_counts
        return self


@dataclasses.dataclass(frozen=True)
class Softmax(Loss):
    """Softmax cross-entropy: -sum_k y_k log(softmax(s)_k).

    With label smoothing e, y is (1-e) times the label plus e/K for every class (Szegedy et al.
    2016, arXiv:1512.00567). With class weights w, each class's term is multiplied by its weight,
    -sum_k w_k y_k log(softmax(s)_k), as in PyTorch's `cross_entropy(weight=w, reduction="none")`.

    Attributes:
      label_smoothing: Share e of the label that is spread over all classes, from 0 to below 1.
      class_weights: Weight of each class; "balanced": N / (K n_k) for a class with n_k of the N
        training images, as in scikit-learn, and 1 for a class without any; None: 1.
    """

    label_smoothing: Fraction[float] = 0.0
    class_weights: ClassWeights = None

    takes_mixed_labels: ClassVar[bool] = True
    scores_are_logits: ClassVar[bool] = True

    def __call__(self, logits: jax.Array, label: jax.Array) -> jax.Array:
        target = jax.nn.one_hot(label, logits.shape[-1]) if label.ndim == 1 else label
        target = optax.losses.smooth_labels(target, self.label_smoothing)
        if self.class_weights is not None:
            target = target * _array(self.class_weights)
        return optax.losses.softmax_cross_entropy(logits, target)

    def resolve(self, class_counts: tuple[int, ...]) -> Self:
        weights = _resolved(self.class_weights, class_counts)
        return dataclasses.replace(self, class_weights=weights)


@dataclasses.dataclass(frozen=True)
class MulticlassHinge(Loss):
    """Multiclass SVM loss: the sum over the wrong classes of max(0, s_k - s_label + margin).

    This is the form of Weston and Watkins (1999), which CS231n teaches; with `squared`, each term
    is squared (the L2-SVM of Tang 2013, arXiv:1306.0239). With class weights, an example's loss is
    multiplied by the weight of its label.

    Attributes:
      margin: Difference by which the score of the label must exceed every other score.
      squared: Whether to square the term of each class.
      class_weights: Weight of each class, "balanced" or None, as in `Softmax`.
    """

    margin: Positive[float] = 1.0
    squared: bool = False
    class_weights: ClassWeights = None

    takes_mixed_labels: ClassVar[bool] = False

    def __call__(self, logits: jax.Array, label: jax.Array) -> jax.Array:
        own = jnp.take_along_axis(logits, label[:, None], axis=-1)
        violation = jnp.maximum(0.0, logits - own + self.margin)
        violation = jnp.where(jax.nn.one_hot(label, logits.shape[-1], dtype=bool), 0.0, violation)
        losses = jnp.sum(violation**2 if self.squared else violation, axis=-1)
        return losses if self.class_weights is None else losses * _array(self.class_weights)[label]

    def resolve(self, class_counts: tuple[int, ...]) -> Self:
        weights = _resolved(self.class_weights, class_counts)
        return dataclasses.replace(self, class_weights=weights)


def balanced_weights(class_counts: tuple[int, ...]) -> tuple[float, ...]:
    """Returns the weights N / (K n_k), with which all classes have the same share of the loss.

    Over the training images their mean is 1, so the learning rate keeps its scale. Classes without
    training images are not among the K, and have weight 1: they take no part in training, but the
    validation loss counts their images.
    """
    present = sum(count > 0 for count in class_counts)
    total = sum(class_counts)
    return tuple(total / (present * count) if count else 1.0 for count in class_counts)


def _resolved(weights: ClassWeights, class_counts: tuple[int, ...]) -> tuple[float, ...] | None:
    if weights is None:
        return None
    if not class_counts:
        raise UserError(
            "loss.class_weights needs the number of training images of each class, which this "
            "run's config.json does not record: train it again, in another --workdir"
        )
    if isinstance(weights, str):
        return balanced_weights(class_counts)
    if len(weights) != len(class_counts):
        raise UserError(
            f"loss.class_weights must have {len(class_counts)} values, one for each class, got "
            f"{len(weights)}"
        )
    return tuple(weights)


def _array(weights: ClassWeights) -> jax.Array:
    """f32[K], the weights of a resolved loss."""
    if isinstance(weights, str):
        raise UserError(f"class_weights={weights!r} depends on the data: call `resolve` before")
    return jnp.array(weights, jnp.float32)


@dataclasses.dataclass(frozen=True)
class Distill(Checked):
    """Knowledge distillation: (1 - w) loss + w T^2 KL(teacher / T, student / T).

    Hinton et al. 2015, arXiv:1503.02531. The teacher is a finished run, whose weights don't change.
    It sees the augmented batch, normalised as in its own training; T^2 balances the two gradients.
    Training reports this sum as its loss; validation and test report the experiment's `loss` alone.
    The loss's `class_weights` do not apply to the teacher's term.

    Attributes:
      teacher: Workdir of the teacher's run, which must exist until this run has finished.
      weight: Share w of the teacher in the loss, from 0 to 1.
      temperature: T, which divides the scores of both nets.
    """

    teacher: LocalPath
    weight: Probability[float] = 0.9
    temperature: Positive[float] = 4.0

    def __post_init__(self):
        super().__post_init__()
        if not self.teacher:
            raise ValueError("teacher must be the workdir of a finished run, got ''")

    def __call__(self, losses: jax.Array, logits: jax.Array, teacher: jax.Array) -> jax.Array:
        """Returns f32[B] from losses f32[B] and the scores f32[B,K] of student and teacher."""
        student, taught = (jax.nn.log_softmax(s / self.temperature) for s in (logits, teacher))
        distance = optax.losses.kl_divergence_with_log_targets(student, taught)
        return (1 - self.weight) * losses + self.weight * self.temperature**2 * distance

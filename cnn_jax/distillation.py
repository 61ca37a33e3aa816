"""Knowledge distillation: a net also learns what another one, its teacher, scores."""

from __future__ import annotations

import dataclasses

import jax
import optax

from cnn_jax import ranges

__all__ = ["Distill"]


@dataclasses.dataclass(frozen=True)
class Distill:
    """Hinton et al. 2015, arXiv:1503.02531: (1 - w) loss + w T^2 KL(teacher / T, student / T).

    The teacher is a finished run. It sees the augmented batch, normalised as in its own training,
    and does not change; T^2 keeps the two gradients in proportion. Losses of the training split are
    this sum; validation and test have the experiment's `loss` alone.

    Attributes:
      teacher: The folder of the teacher's run, which must stay until this run is finished.
      weight: Share w of the teacher in the loss.
      temperature: T, by which both nets' scores are divided.
    """

    teacher: str
    weight: float = 0.9
    temperature: float = 4.0

    def __post_init__(self):
        if not self.teacher:
            raise ValueError("teacher must name the folder of a run, got ''")
        ranges.positive(temperature=self.temperature)
        ranges.non_negative(weight=self.weight)
        if self.weight > 1:
            raise ValueError(f"weight must be at most 1, got {self.weight!r}")

    def __call__(self, losses: jax.Array, logits: jax.Array, teacher: jax.Array) -> jax.Array:
        """f32[B] losses, f32[B,K] scores of the student and of the teacher -> f32[B]."""
        student, taught = (jax.nn.log_softmax(s / self.temperature) for s in (logits, teacher))
        distance = optax.losses.kl_divergence_with_log_targets(student, taught)
        return (1 - self.weight) * losses + self.weight * self.temperature**2 * distance

"""What every optimiser has in common."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import optax

from cnn_jax import ranges

# Step number i32[] -> share of the peak learning rate f32[], from 0 to 1.
Factor = Callable[[jax.Array], jax.Array]
# Which parameters weight decay shrinks: "kernels" are those of more than one dimension.
Decay = Literal["all", "kernels"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer(abc.ABC):
    """A rule that turns gradients into updates of the parameters.

    Attributes:
      peak_lr: Learning rate at the schedule's highest point.
      per_batch: Batch size that `peak_lr` is meant for: the rate grows in proportion to the batch;
        None: `peak_lr` holds at any batch size.
      clip_norm: Gradients are scaled down to this global norm where they exceed it; None: never.
    """

    peak_lr: float = 0.1
    per_batch: int | None = None
    clip_norm: float | None = None

    def __post_init__(self):
        ranges.positive(peak_lr=self.peak_lr, per_batch=self.per_batch, clip_norm=self.clip_norm)

    def peak(self, batch_size: int) -> float:
        """The highest learning rate at this batch size."""
        return self.peak_lr * (batch_size / self.per_batch if self.per_batch else 1)

    def build(
        self, factor: Factor, *, batch_size: int, total_steps: int
    ) -> optax.GradientTransformation:
        """The optax transformation that a run of `total_steps` applies to its gradients."""
        rule = self._rule(factor, batch_size, total_steps)
        if self.clip_norm is None:
            return rule
        return optax.chain(optax.clip_by_global_norm(self.clip_norm), rule)

    def learning_rate(self, factor: Factor, batch_size: int) -> Factor:
        """The learning rate at a step."""
        peak = self.peak(batch_size)
        return lambda step: peak * factor(step)

    @abc.abstractmethod
    def _rule(
        self, factor: Factor, batch_size: int, total_steps: int
    ) -> optax.GradientTransformation:
        """The transformation, but for the clipping."""


def decayed(decay: Decay):
    """The mask of the parameters that weight decay shrinks, as optax takes it."""
    if decay == "all":
        return None
    return lambda params: jax.tree.map(lambda p: p.ndim > 1, params)


def decoupled(
    direction: optax.GradientTransformation, rate: Factor, *, weight_decay: float, decay: Decay
) -> optax.GradientTransformation:
    """p = p - lr (direction + decay p), at a rate that depends on the step."""
    return optax.chain(
        direction,
        optax.add_decayed_weights(weight_decay, decayed(decay)),
        optax.scale_by_learning_rate(rate),
    )

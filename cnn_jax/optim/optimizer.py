"""Defines the base classes of the optimisers, and what their weight decay has in common."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import optax

from cnn_jax.ranges import Checked, Positive

# Step number i32[] -> share of the peak learning rate f32[], from 0 to 1.
Factor = Callable[[jax.Array], jax.Array]
# Parameters that weight decay shrinks: "kernels" are those of more than one dimension.
Decay = Literal["all", "kernels"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer(Checked, abc.ABC):
    """A rule that turns gradients into updates of the parameters.

    Attributes:
      peak_lr: Learning rate at the schedule's highest point.
      per_batch: Batch size for which `peak_lr` is meant: the learning rate grows in proportion to
        the batch size; None: `peak_lr` holds at any batch size.
      clip_norm: Maximum global norm of the gradients, which are scaled down to it; None: no limit.
    """

    peak_lr: Positive[float] = 0.1
    per_batch: Positive[int | None] = None
    clip_norm: Positive[float | None] = None

    def peak(self, batch_size: int) -> float:
        """Returns the highest learning rate at this batch size."""
        return self.peak_lr * (batch_size / self.per_batch if self.per_batch else 1)

    def build(
        self, factor: Factor, *, batch_size: int, total_steps: int
    ) -> optax.GradientTransformation:
        """Returns the optax transformation that a run of `total_steps` applies to its gradients."""
        rule = self._rule(factor, batch_size, total_steps)
        if self.clip_norm is None:
            return rule
        return optax.chain(optax.clip_by_global_norm(self.clip_norm), rule)

    def learning_rate(self, factor: Factor, batch_size: int) -> Factor:
        """Returns the learning rate as a function of the step."""
        peak = self.peak(batch_size)
        return lambda step: peak * factor(step)

    @abc.abstractmethod
    def _rule(
        self, factor: Factor, batch_size: int, total_steps: int
    ) -> optax.GradientTransformation:
        """Returns the transformation without the clipping."""


def decay_mask(decay: Decay) -> Callable[[optax.Params], optax.Params] | None:
    """Returns the mask, in optax's form, of the parameters that weight decay shrinks."""
    if decay == "all":
        return None
    return lambda params: jax.tree.map(lambda p: p.ndim > 1, params)


def decoupled(
    direction: optax.GradientTransformation, rate: Factor, *, weight_decay: float, decay: Decay
) -> optax.GradientTransformation:
    """p = p - lr (direction + weight_decay p), with a learning rate that depends on the step."""
    return optax.chain(
        direction,
        optax.add_decayed_weights(weight_decay, decay_mask(decay)),
        optax.scale_by_learning_rate(rate),
    )

"""Optimisers that move as Adam does, but for one part of its rule."""

from __future__ import annotations

import dataclasses

import optax

from cnn_jax.optim.adam import AdamW
from cnn_jax.optim.optimizer import decayed, decoupled


@dataclasses.dataclass(frozen=True, kw_only=True)
class NAdam(AdamW):
    """Adam with Nesterov's momentum (Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ).

    The gradient's running mean is taken one step ahead. `b1` stays as it is; PyTorch's `NAdam` lets
    it grow over the steps.
    """

    weight_decay: float = 0.0

    def _rule(self, factor, batch_size, total_steps):
        return optax.nadamw(
            self.learning_rate(factor, batch_size),
            self.b1,
            self.b2,
            self.eps,
            weight_decay=self.weight_decay,
            mask=decayed(self.decay),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RAdam(AdamW):
    """Rectified Adam (Liu et al. 2020, arXiv:1908.03265): a warm-up of its own.

    As long as the squared gradient's running mean rests on too few steps, the plain running mean of
    the gradient is followed; then Adam's step, shortened by what its variance still is.
    """

    weight_decay: float = 0.0

    def _rule(self, factor, batch_size, total_steps):
        return decoupled(
            optax.scale_by_radam(self.b1, self.b2, self.eps),
            self.learning_rate(factor, batch_size),
            weight_decay=self.weight_decay,
            decay=self.decay,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaBelief(AdamW):
    """Zhuang et al. 2020, arXiv:2010.07468: steps are short where gradients are unexpected.

    The running mean of the squared distance from the gradient's running mean takes the place of
    Adam's second one.

    Attributes:
      eps: Added to that mean at every step, and to its root.
    """

    eps: float = 1e-16
    weight_decay: float = 0.0

    def _rule(self, factor, batch_size, total_steps):
        return decoupled(
            optax.scale_by_belief(self.b1, self.b2, self.eps, self.eps),
            self.learning_rate(factor, batch_size),
            weight_decay=self.weight_decay,
            decay=self.decay,
        )

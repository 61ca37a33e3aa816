"""Stochastic gradient descent."""

from __future__ import annotations

import dataclasses

import optax

from cnn_jax import ranges
from cnn_jax.optim.optimizer import Decay, Factor, Optimizer, decayed


def coupled_sgd(
    rate: Factor, momentum: float | None, *, weight_decay: float, nesterov: bool = True, mask=None
) -> optax.GradientTransformation:
    """SGD at a rate that depends on the step, with decay that is added to the gradient."""
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask),
        optax.sgd(rate, momentum, nesterov=nesterov),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """SGD with momentum: m = momentum m + (g + decay p);  p = p - lr m.

    Weight decay is coupled: it is added to the gradient, as in PyTorch and the published recipes.

    Attributes:
      momentum: Share of the last update that is kept, from 0 to below 1.
      nesterov: Whether the gradient is looked up one momentum step ahead.
      weight_decay: Strength of the decay that is added to the gradient.
      decay: What is decayed: "all" parameters, or only "kernels" (no biases, no norms).
    """

    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    decay: Decay = "all"

    def __post_init__(self):
        super().__post_init__()
        ranges.fraction(momentum=self.momentum)
        ranges.non_negative(weight_decay=self.weight_decay)
        ranges.one_of(("all", "kernels"), decay=self.decay)

    def _rule(self, factor, batch_size, total_steps):
        return coupled_sgd(
            self.learning_rate(factor, batch_size),
            self.momentum or None,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            mask=decayed(self.decay),
        )

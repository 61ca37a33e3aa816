"""Stochastic gradient descent."""

from __future__ import annotations

import dataclasses

import optax

from cnn_jax import ranges
from cnn_jax.optim.optimizer import Decay, Optimizer, decayed


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
        return optax.chain(
            optax.add_decayed_weights(self.weight_decay, decayed(self.decay)),
            optax.sgd(
                self.learning_rate(factor, batch_size),
                momentum=self.momentum or None,
                nesterov=self.nesterov,
            ),
        )

"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

import dataclasses

import optax

from cnn_jax import ranges
from cnn_jax.optim.optimizer import Decay, Optimizer, decayed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Kingma and Ba 2014, arXiv:1412.6980.

    Attributes:
      b1: Decay of the gradient's running mean.
      b2: Decay of the squared gradient's running mean.
      eps: Added to the root of the second, so that it never divides by zero.
    """

    peak_lr: float = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self):
        super().__post_init__()
        ranges.fraction(b1=self.b1, b2=self.b2)
        ranges.positive(eps=self.eps)

    def _rule(self, factor, batch_size, total_steps):
        return optax.adam(self.learning_rate(factor, batch_size), self.b1, self.b2, self.eps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Loshchilov and Hutter 2019, arXiv:1711.05101: p = p - lr (adam + decay p).

    Attributes:
      weight_decay: Strength of the decoupled decay.
      decay: What is decayed: "all" parameters, or only "kernels" (no biases, no norms).
    """

    weight_decay: float = 1e-2
    decay: Decay = "all"

    def __post_init__(self):
        super().__post_init__()
        ranges.non_negative(weight_decay=self.weight_decay)
        ranges.one_of(("all", "kernels"), decay=self.decay)

    def _rule(self, factor, batch_size, total_steps):
        return optax.adamw(
            self.learning_rate(factor, batch_size),
            self.b1,
            self.b2,
            self.eps,
            weight_decay=self.weight_decay,
            mask=decayed(self.decay),
        )

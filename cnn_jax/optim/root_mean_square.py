"""Gradients over the root of their squares: what Adam was made of."""

from __future__ import annotations

import dataclasses

import optax

from cnn_jax import ranges
from cnn_jax.optim.optimizer import Decay, Optimizer, decayed


@dataclasses.dataclass(frozen=True, kw_only=True)
class RMSprop(Optimizer):
    """v = b2 v + (1 - b2) g^2;  m = momentum m + g / (sqrt(v) + eps);  p = p - lr m.

    Hinton 2012 (lecture 6 of his course), and with momentum Graves 2013, arXiv:1308.0850; `eps` and
    the decay, which joins the gradient, are where PyTorch has them.

    Attributes:
      b2: Decay of the squared gradient's running mean.
      eps: Added to its root, so that it never divides by zero.
      momentum: Share of the last update that is kept, from 0 to below 1.
      weight_decay: Strength of the decay that is added to the gradient.
      decay: What is decayed: "all" parameters, or only "kernels" (no biases, no norms).
    """

    peak_lr: float = 1e-3
    b2: float = 0.9
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0
    decay: Decay = "all"

    def __post_init__(self):
        super().__post_init__()
        ranges.fraction(b2=self.b2, momentum=self.momentum)
        ranges.positive(eps=self.eps)
        ranges.non_negative(weight_decay=self.weight_decay)
        ranges.one_of(("all", "kernels"), decay=self.decay)

    def _rule(self, factor, batch_size, total_steps):
        return optax.chain(
            optax.add_decayed_weights(self.weight_decay, decayed(self.decay)),
            optax.scale_by_rms(self.b2, self.eps, eps_in_sqrt=False),
            optax.trace(self.momentum) if self.momentum else optax.identity(),
            optax.scale_by_learning_rate(self.learning_rate(factor, batch_size)),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adagrad(Optimizer):
    """v = v + g^2;  p = p - lr g / sqrt(v) (Duchi et al. 2011, jmlr.org/papers/v12/duchi11a).

    Attributes:
      initial: What the sum v begins with.
    """

    peak_lr: float = 1e-2
    initial: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        ranges.non_negative(initial=self.initial)

    def _rule(self, factor, batch_size, total_steps):
        # Where v is 0, so is the gradient, and optax leaves the parameter alone.
        return optax.adagrad(self.learning_rate(factor, batch_size), self.initial, eps=0.0)

"""Optimisers for large batches: each layer's step is in proportion to its weights."""

from __future__ import annotations

import dataclasses

import optax

from cnn_jax import ranges
from cnn_jax.optim.adam import AdamW
from cnn_jax.optim.optimizer import Decay, decayed
from cnn_jax.optim.sgd import SGD


@dataclasses.dataclass(frozen=True, kw_only=True)
class LARS(SGD):
    """SGD at a rate per layer (You et al. 2017, arXiv:1708.03888).

    u = trust |p| / |g + decay p| (g + decay p);  m = momentum m + lr u;  p = p - m. The rate is
    that of SimCLR (Chen et al. 2020, arXiv:2002.05709), the decay the publication's.

    Attributes:
      trust: Share of a layer's norm that a step at the rate 1 moves it by.
      decay: What is decayed and moves in proportion to its norm: "all" parameters, or only
        "kernels", while biases and norms follow SGD.
    """

    peak_lr: float = 0.3
    per_batch: int | None = 256
    weight_decay: float = 5e-4
    decay: Decay = "kernels"
    trust: float = 1e-3

    def __post_init__(self):
        super().__post_init__()
        ranges.positive(trust=self.trust)

    def _rule(self, factor, batch_size, total_steps):
        return optax.lars(
            self.learning_rate(factor, batch_size),
            self.weight_decay,
            weight_decay_mask=decayed(self.decay) or True,
            trust_coefficient=self.trust,
            trust_ratio_mask=decayed(self.decay) or True,
            momentum=self.momentum,
            nesterov=self.nesterov,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LAMB(AdamW):
    """AdamW at a rate per layer (You et al. 2020, arXiv:1904.00962).

    u = adam + decay p;  p = p - lr |p| / |u| u.

    Attributes:
      decay: What is decayed and moves in proportion to its norm: "all" parameters, or only
        "kernels", while biases and norms follow Adam.
    """

    eps: float = 1e-6
    decay: Decay = "kernels"

    def _rule(self, factor, batch_size, total_steps):
        return optax.chain(
            optax.scale_by_adam(self.b1, self.b2, self.eps),
            optax.add_decayed_weights(self.weight_decay, decayed(self.decay)),
            optax.masked(optax.scale_by_trust_ratio(), decayed(self.decay) or True),
            optax.scale_by_learning_rate(self.learning_rate(factor, batch_size)),
        )

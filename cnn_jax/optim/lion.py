"""Lion: the sign of the momentum."""

from __future__ import annotations

import dataclasses

import optax

from cnn_jax import ranges
from cnn_jax.optim.optimizer import Decay, Optimizer, decayed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Chen et al. 2023, arXiv:2302.06675: p = p - lr (sign(b1 m + (1 - b1) g) + decay p).

    Every parameter moves by the same distance: the authors advise a rate 3 to 10 times below that
    of AdamW, and a decay as much above it.

    Attributes:
      b1: Share of the running mean m in the direction.
      b2: Decay of the gradient's running mean.
      weight_decay: Strength of the decoupled decay.
      decay: What is decayed: "all" parameters, or only "kernels" (no biases, no norms).
    """

    peak_lr: float = 1e-4
    b1: float = 0.9
    b2: float = 0.99
    weight_decay: float = 0.0
    decay: Decay = "all"

    def __post_init__(self):
        super().__post_init__()
        ranges.fraction(b1=self.b1, b2=self.b2)
        ranges.non_negative(weight_decay=self.weight_decay)
        ranges.one_of(("all", "kernels"), decay=self.decay)

    def _rule(self, factor, batch_size, total_steps):
        return optax.lion(
            self.learning_rate(factor, batch_size),
            self.b1,
            self.b2,
            weight_decay=self.weight_decay,
            mask=decayed(self.decay),
        )

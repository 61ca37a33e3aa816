"""Stochastic gradient descent."""

import dataclasses

import optax

from cnn_jax.optim.optimizer import Decay, Factor, Optimizer, decay_mask
from cnn_jax.ranges import Fraction, NonNegative


def coupled_sgd(
    rate: Factor, momentum: float | None, *, weight_decay: float, nesterov: bool = True, mask=None
) -> optax.GradientTransformation:
    """SGD with a learning rate that depends on the step; weight decay is added to the gradient."""
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask),
        optax.sgd(rate, momentum, nesterov=nesterov),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """SGD with momentum: m = momentum m + (g + weight_decay p);  p = p - lr m.

    Weight decay is coupled: it is added to the gradient g, as in PyTorch and the published recipes.

    Attributes:
      momentum: Share of the last update that is kept, from 0 to below 1.
      nesterov: Whether to use Nesterov momentum.
      weight_decay: Strength of the weight decay, which is added to the gradient.
      decay: Parameters that it shrinks: "all", or only "kernels" (no biases, no norms).
    """

    momentum: Fraction[float] = 0.9
    nesterov: bool = False
    weight_decay: NonNegative[float] = 0.0
    decay: Decay = "all"

    def _rule(self, factor, batch_size, total_steps):
        return coupled_sgd(
            self.learning_rate(factor, batch_size),
            self.momentum or None,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            mask=decay_mask(self.decay),
        )

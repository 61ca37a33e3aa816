"""Optimisers for large batches, which scale each layer's step by the norm of its weights."""

import dataclasses

import optax

from cnn_jax.optim.adaptive import AdamW
from cnn_jax.optim.optimizer import Decay, decay_mask
from cnn_jax.optim.sgd import SGD
from cnn_jax.ranges import Positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class LARS(SGD):
    """SGD with a learning rate per layer (You et al. 2017, arXiv:1708.03888).

    d = g + weight_decay p;  m = momentum m + lr trust |p| / |d| d;  p = p - m. The default learning
    rate is SimCLR's (Chen et al. 2020, arXiv:2002.05709), the default weight decay LARS's own.

    Attributes:
      trust: Length of a step at learning rate 1, as a share of the layer's norm.
      decay: Parameters with weight decay and a learning rate per layer: "all", or only "kernels";
        biases and norms then follow SGD.
    """

    peak_lr: float = 0.3
    per_batch: int | None = 256
    weight_decay: float = 5e-4
    decay: Decay = "kernels"
    trust: Positive[float] = 1e-3

    def _rule(self, factor, batch_size, total_steps):
        return optax.lars(
            self.learning_rate(factor, batch_size),
            self.weight_decay,
            weight_decay_mask=decay_mask(self.decay) or True,
            trust_coefficient=self.trust,
            trust_ratio_mask=decay_mask(self.decay) or True,
            momentum=self.momentum,
            nesterov=self.nesterov,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LAMB(AdamW):
    """AdamW with a learning rate per layer (You et al. 2020, arXiv:1904.00962).

    u = adam + weight_decay p;  p = p - lr |p| / |u| u.

    Attributes:
      decay: Parameters with weight decay and a learning rate per layer: "all", or only "kernels";
        biases and norms then follow Adam.
    """

    eps: float = 1e-6
    decay: Decay = "kernels"

    def _rule(self, factor, batch_size, total_steps):
        return optax.chain(
            optax.scale_by_adam(self.b1, self.b2, self.eps),
            optax.add_decayed_weights(self.weight_decay, decay_mask(self.decay)),
            optax.masked(optax.scale_by_trust_ratio(), decay_mask(self.decay) or True),
            optax.scale_by_learning_rate(self.learning_rate(factor, batch_size)),
        )

"""Optimisers for large batches, which scale each layer's step by the norm of its weights."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from cnn_jax.optim.adaptive import AdamW
from cnn_jax.optim.optimizer import Decay, decay_mask
from cnn_jax.optim.sgd import SGD
from cnn_jax.ranges import Positive


def scale_by_lars_ratio(trust: float, weight_decay: float) -> optax.GradientTransformation:
    """Scales d = g + weight_decay p, of gradient g and parameter p, by LARS's ratio.

    The ratio is trust |p| / (|g| + weight_decay |p|). That of a parameter of zeros, which would
    never move, is 1, as in the authors' code.
    """

    def update(updates, state, params=None):
        if params is None:
            raise ValueError(optax.NO_PARAMS_MSG)

        def scaled(d, p):
            weights = jnp.linalg.norm(p)
            total = jnp.linalg.norm(d - weight_decay * p) + weight_decay * weights
            moves = (weights > 0) & (total > 0)
            return d * jnp.where(moves, trust * weights / jnp.where(moves, total, 1), 1)

        return jax.tree.map(scaled, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LARS(SGD):
    """SGD with a learning rate per layer (You et al. 2017, arXiv:1708.03888).

    m = momentum m + lr trust |p| / (|g| + weight_decay |p|) (g + weight_decay p);  p = p - m. This
    is the paper's algorithm 1; optax's `lars` divides by |g + weight_decay p| instead. The default
    learning rate is SimCLR's (Chen et al. 2020, arXiv:2002.05709), the default weight decay LARS's
    own.

    Attributes:
      trust: The paper's coefficient eta: the largest length of a step at learning rate 1, as a
        share of the layer's norm.
      decay: Parameters with weight decay and a learning rate per layer: "all", or only "kernels";
        biases and norms then follow SGD.
    """

    peak_lr: float = 0.3
    per_batch: int | None = 256
    weight_decay: float = 5e-4
    decay: Decay = "kernels"
    trust: Positive[float] = 1e-3

    def _rule(self, factor, batch_size, total_steps):
        mask = decay_mask(self.decay) or True
        # The state has the form of `optax.lars`, with which older checkpoints were written.
        return optax.chain(
            optax.add_decayed_weights(self.weight_decay, mask),
            optax.masked(scale_by_lars_ratio(self.trust, self.weight_decay), mask),
            optax.scale_by_learning_rate(self.learning_rate(factor, batch_size)),
            optax.trace(self.momentum, nesterov=self.nesterov),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LAMB(AdamW):
    """AdamW with a learning rate per layer (You et al. 2020, arXiv:1904.00962).

    u = adam + weight_decay p;  p = p - lr |p| / |u| u. This is the paper's algorithm 2 with the
    identity as its function phi, without bounds on |p|. With `decay="kernels"`, biases and norms
    are left out as in the authors' program, which in turn leaves out Adam's bias correction.

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

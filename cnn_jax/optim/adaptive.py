"""Optimisers that scale each weight's step by its gradients: Adam and its relatives."""

import dataclasses

import optax

from cnn_jax.optim.optimizer import Decay, Optimizer, decay_mask, decoupled
from cnn_jax.ranges import Fraction, NonNegative, Positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2014, arXiv:1412.6980).

    Attributes:
      b1: Decay of the gradient's running mean.
      b2: Decay of the squared gradient's running mean.
      eps: Added to the square root of that mean, so that it never divides by zero.
    """

    peak_lr: float = 1e-3
    b1: Fraction[float] = 0.9
    b2: Fraction[float] = 0.999
    eps: Positive[float] = 1e-8

    def _rule(self, factor, batch_size, total_steps):
        return optax.adam(self.learning_rate(factor, batch_size), self.b1, self.b2, self.eps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    p = p - lr (adam + weight_decay p).

    Attributes:
      weight_decay: Strength of the decoupled weight decay.
      decay: Parameters that it shrinks: "all", or only "kernels" (no biases, no norms).
    """

    weight_decay: NonNegative[float] = 1e-2
    decay: Decay = "all"

    def _rule(self, factor, batch_size, total_steps):
        return decoupled(
            self._direction(),
            self.learning_rate(factor, batch_size),
            weight_decay=self.weight_decay,
            decay=self.decay,
        )

    def _direction(self) -> optax.GradientTransformation:
        return optax.scale_by_adam(self.b1, self.b2, self.eps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NAdam(AdamW):
    """Adam with Nesterov momentum (Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ).

    `b1` is constant, whereas PyTorch's `NAdam` increases it over the steps. Weight decay is
    decoupled, as with AdamW; PyTorch's default adds it to the gradient.
    """

    weight_decay: NonNegative[float] = 0.0

    def _direction(self):
        return optax.scale_by_adam(self.b1, self.b2, self.eps, nesterov=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RAdam(AdamW):
    """Rectified Adam, which needs no warm-up (Liu et al. 2020, arXiv:1908.03265).

    While the squared gradient's running mean covers too few steps, the step follows the gradient's
    running mean alone; after that it is Adam's, scaled down by the variance that is left. Weight
    decay is decoupled, as with AdamW; PyTorch's default adds it to the gradient.
    """

    weight_decay: NonNegative[float] = 0.0

    def _direction(self):
        return optax.scale_by_radam(self.b1, self.b2, self.eps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaBelief(AdamW):
    """Adam with smaller steps at unexpected gradients (Zhuang et al. 2020, arXiv:2010.07468).

    Adam's squared gradient is replaced by the squared distance from the gradient's running mean.

    Attributes:
      eps: Added to the running mean of that distance at every step, and to its square root.
    """

    eps: Positive[float] = 1e-16
    weight_decay: NonNegative[float] = 0.0

    def _direction(self):
        return optax.scale_by_belief(self.b1, self.b2, self.eps, self.eps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Lion (Chen et al. 2023, arXiv:2302.06675): the sign of the momentum.

    p = p - lr (sign(b1 m + (1 - b1) g) + weight_decay p). Every weight moves by the same distance:
    the authors recommend a learning rate 3 to 10 times lower than AdamW's, and a weight decay
    higher by the same factor.

    Attributes:
      b1: Share of the running mean m in the direction.
      b2: Decay of the gradient's running mean m.
      weight_decay: Strength of the decoupled weight decay.
      decay: Parameters that it shrinks: "all", or only "kernels" (no biases, no norms).
    """

    peak_lr: float = 1e-4
    b1: Fraction[float] = 0.9
    b2: Fraction[float] = 0.99
    weight_decay: NonNegative[float] = 0.0
    decay: Decay = "all"

    def _rule(self, factor, batch_size, total_steps):
        return decoupled(
            optax.scale_by_lion(self.b1, self.b2),
            self.learning_rate(factor, batch_size),
            weight_decay=self.weight_decay,
            decay=self.decay,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RMSprop(Optimizer):
    """RMSprop (Hinton 2012, lecture 6 of his course), with momentum (Graves 2013, arXiv:1308.0850).

    v = b2 v + (1 - b2) g^2;  m = momentum m + g / (sqrt(v) + eps);  p = p - lr m. As in PyTorch,
    `eps` is outside the square root, and weight decay is added to the gradient g.

    Attributes:
      b2: Decay of the squared gradient's running mean v.
      eps: Added to the square root of v, so that it never divides by zero.
      momentum: Share of the last update that is kept, from 0 to below 1.
      weight_decay: Strength of the weight decay, which is added to the gradient.
      decay: Parameters that it shrinks: "all", or only "kernels" (no biases, no norms).
    """

    peak_lr: float = 1e-3
    b2: Fraction[float] = 0.9
    eps: Positive[float] = 1e-8
    momentum: Fraction[float] = 0.0
    weight_decay: NonNegative[float] = 0.0
    decay: Decay = "all"

    def _rule(self, factor, batch_size, total_steps):
        return optax.chain(
            optax.add_decayed_weights(self.weight_decay, decay_mask(self.decay)),
            optax.scale_by_rms(self.b2, self.eps, eps_in_sqrt=False),
            optax.trace(self.momentum) if self.momentum else optax.identity(),
            optax.scale_by_learning_rate(self.learning_rate(factor, batch_size)),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011, jmlr.org/papers/v12/duchi11a).

    v = v + g^2;  p = p - lr g / sqrt(v).

    Attributes:
      initial: Initial value of the sum v.
    """

    peak_lr: float = 1e-2
    initial: NonNegative[float] = 0.1

    def _rule(self, factor, batch_size, total_steps):
        # Needs no eps: where v is 0, optax leaves the parameter unchanged.
        return optax.adagrad(self.learning_rate(factor, batch_size), self.initial, eps=0.0)

"""Averages of the weights in place of a falling rate: Defazio et al. 2024, arXiv:2405.15682."""

from __future__ import annotations

import abc
import dataclasses

import jax
import optax
from optax import contrib

from cnn_jax import ranges
from cnn_jax.optim.optimizer import Decay, Optimizer, decoupled


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleFree(Optimizer):
    """A rule moves z by the gradient at y = b1 x + (1 - b1) z, and x is the average of every z.

    The parameters are y while a run trains; what is evaluated is x, see `averaged`. It is meant for
    `schedule=Constant(warmup=...)`: steps count in the average by the square of the highest rate so
    far. The running statistics of BatchNorm are those that y has left, while the authors gather
    them anew at x before an evaluation.

    Attributes:
      b1: Share of the average x in y, above 0; 0.95 or 0.98 for very long runs.
      weight_decay: Strength of the decay of y, decoupled from the gradient's scale.
      decay: What is decayed: "all" parameters, or only "kernels" (no biases, no norms).
    """

    b1: float = 0.9
    weight_decay: float = 0.0
    decay: Decay = "all"

    def __post_init__(self):
        super().__post_init__()
        ranges.fraction(b1=self.b1)
        ranges.positive(b1=self.b1)
        ranges.non_negative(weight_decay=self.weight_decay)
        ranges.one_of(("all", "kernels"), decay=self.decay)

    def _rule(self, factor, batch_size, total_steps):
        rate = self.learning_rate(factor, batch_size)
        moves = decoupled(self._direction(), rate, weight_decay=self.weight_decay, decay=self.decay)
        # It counts steps from 1: the weight in the average is to be that of the rate taken.
        return contrib.schedule_free(moves, lambda count: rate(count - 1), b1=self.b1)

    @abc.abstractmethod
    def _direction(self) -> optax.GradientTransformation:
        """From the gradient to what moves z, but for the rate: without momentum."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleFreeSGD(ScheduleFree):
    """Schedule-free SGD; a good rate is 10 to 50 times that of SGD with momentum."""

    peak_lr: float = 1.0

    def _direction(self):
        return optax.identity()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleFreeAdamW(ScheduleFree):
    """Schedule-free AdamW; a good rate is 1 to 10 times that of AdamW.

    Attributes:
      b2: Decay of the squared gradient's running mean.
      eps: Added to its root, so that it never divides by zero.
    """

    peak_lr: float = 2.5e-3
    b2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self):
        super().__post_init__()
        ranges.fraction(b2=self.b2)
        ranges.positive(eps=self.eps)

    def _direction(self):
        return optax.scale_by_rms(self.b2, self.eps, eps_in_sqrt=False, bias_correction=True)


def averaged(params: optax.Params, opt_state: optax.OptState) -> optax.Params:
    """What is to be evaluated: the average x of a schedule-free rule; with any other, `params`."""

    def is_state(node):
        return isinstance(node, contrib.ScheduleFreeState)

    def is_frozen(node):
        return isinstance(node, optax.MaskedNode)

    found = [node for node in jax.tree.leaves(opt_state, is_leaf=is_state) if is_state(node)]
    if not found:
        return params
    state = found[0]
    moving = jax.tree.map(lambda z, y: z if is_frozen(z) else y, state.z, params, is_leaf=is_frozen)
    average = contrib.schedule_free_eval_params(state, moving)
    return jax.tree.map(lambda x, y: y if is_frozen(x) else x, average, params, is_leaf=is_frozen)

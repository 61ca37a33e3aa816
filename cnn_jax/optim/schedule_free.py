"""Schedule-free optimisers, which average weights instead of lowering the learning rate.

Defazio et al. 2024, arXiv:2405.15682.
"""

import abc
import dataclasses

import jax
import optax
from optax import contrib

from cnn_jax.optim.optimizer import Decay, Optimizer, decoupled
from cnn_jax.ranges import Fraction, NonNegative, Positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleFree(Optimizer):
    """Base class: steps move z by the gradient at y = b1 x + (1 - b1) z; x is the average of all z.

    Training sees the parameters y, evaluation sees x (see `eval_params`). Use it with
    `schedule=Constant(warmup=...)`: the average weights a step by the square of the highest
    learning rate so far. Evaluation uses the BatchNorm statistics gathered at y; the authors gather
    them again at x.

    Attributes:
      b1: Share of the average x in y, above 0; 0.95 or 0.98 for very long runs.
      weight_decay: Strength of the decoupled weight decay of y.
      decay: Parameters that it shrinks: "all", or only "kernels" (no biases, no norms).
    """

    b1: Positive[Fraction[float]] = 0.9
    weight_decay: NonNegative[float] = 0.0
    decay: Decay = "all"

    def _rule(self, factor, batch_size, total_steps):
        rate = self.learning_rate(factor, batch_size)
        moves = decoupled(self._direction(), rate, weight_decay=self.weight_decay, decay=self.decay)
        # optax counts these steps from 1; the average must weight a step by the rate that it took.
        return contrib.schedule_free(moves, lambda count: rate(count - 1), b1=self.b1)

    @abc.abstractmethod
    def _direction(self) -> optax.GradientTransformation:
        """Returns what turns a gradient into the direction of z's step, without momentum."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleFreeSGD(ScheduleFree):
    """Schedule-free SGD; try 10 to 50 times the learning rate of SGD with momentum."""

    peak_lr: float = 1.0

    def _direction(self):
        return optax.identity()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleFreeAdamW(ScheduleFree):
    """Schedule-free AdamW; try 1 to 10 times the learning rate of AdamW.

    Attributes:
      b2: Decay of the squared gradient's running mean.
      eps: Added to its square root, so that it never divides by zero.
    """

    peak_lr: float = 2.5e-3
    b2: Fraction[float] = 0.999
    eps: Positive[float] = 1e-8

    def _direction(self):
        return optax.scale_by_rms(self.b2, self.eps, eps_in_sqrt=False, bias_correction=True)


def eval_params(params: optax.Params, opt_state: optax.OptState) -> optax.Params:
    """Returns the average x of a schedule-free optimiser; with any other optimiser, `params`."""

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

"""Lookahead: every few steps, the weights return to a slower copy of themselves."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnn_jax.optim.airbench_groups import groups
from cnn_jax.optim.averages import initial_average
from cnn_jax.optim.optimizer import Factor, Optimizer
from cnn_jax.optim.sgd import coupled_sgd
from cnn_jax.ranges import Checked, Fraction, NonNegative, Positive, Probability


class LookaheadState(NamedTuple):
    """State of the wrapped rule, the slow weights, and the number of steps taken."""

    rule: optax.OptState
    slow: optax.Params
    step: jax.Array


def lookahead(
    rule: optax.GradientTransformation, *, interval: int, kept: Factor, total_steps: int
) -> optax.GradientTransformation:
    """Wraps a rule in lookahead (Zhang et al. 2019, arXiv:1907.08610).

    After every `interval` steps, `slow = kept slow + (1 - kept) fast`, and the parameters become
    the slow weights. After the last step they become the slow weights too. The rule keeps its
    momentum.

    Args:
      rule: Transformation that moves the parameters, the fast weights.
      interval: Steps between two synchronisations.
      kept: Share of the slow weights that a synchronisation keeps, as a function of the step.
      total_steps: Steps of the run.
    """

    def init(params):
        return LookaheadState(rule.init(params), initial_average(params), jnp.zeros((), jnp.int32))

    def update(gradients, state, params=None):
        if params is None:
            raise ValueError(optax.NO_PARAMS_MSG)
        updates, rule_state = rule.update(gradients, state.rule, params)
        step = state.step + 1
        synchronize, share = step % interval == 0, kept(step)

        def slower(s, p, u):
            return jnp.where(synchronize, share * s + (1 - share) * (p + u), s)

        slow = jax.tree.map(slower, state.slow, params, updates)
        back = synchronize | (step == total_steps)
        updates = jax.tree.map(lambda s, p, u: jnp.where(back, s - p, u), slow, params, updates)
        return updates, LookaheadState(rule_state, slow, step)

    return optax.GradientTransformation(init, update)


@dataclasses.dataclass(frozen=True)
class Lookahead(Checked):
    """Lookahead around any optimiser (Zhang et al. 2019, arXiv:1907.08610).

    Validation evaluates the current weights. So does the test if patience ends the run early; after
    the last planned step, the weights are the slow ones.

    Attributes:
      interval: Steps between two synchronisations; the default is that of the authors' code.
      slow_step: Fraction of the distance to the fast weights that the slow weights move at each
        synchronisation; the default is that of the authors' code.
    """

    interval: Positive[int] = 5
    slow_step: Positive[Probability[float]] = 0.8

    def around(
        self, rule: optax.GradientTransformation, total_steps: int
    ) -> optax.GradientTransformation:
        """Wraps a rule for a run of `total_steps`."""
        kept = jnp.float32(1 - self.slow_step)
        return lookahead(
            rule, interval=self.interval, kept=lambda step: kept, total_steps=total_steps
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LookaheadSGD(Optimizer):
    """Nesterov SGD with lookahead and a higher learning rate for biases, as in airbench96.

    (Jordan 2024, arXiv:2404.00498.) The share of the slow weights that a synchronisation keeps
    grows with the cube of the step. The publication also averages the running statistics of norms,
    which this class does not. Its airbench93 differs: it starts lookahead in the fourth epoch, and
    also returns to the slow weights at the end of each epoch.

    Attributes:
      peak_lr: Highest learning rate of filters and fully connected layers.
      momentum: Nesterov momentum.
      weight_decay: Strength of the weight decay, which is added to the gradient.
      bias_factor: Learning rate of the norms' biases divided by that of the other parameters; their
        weight decay is divided by it.
      whitening_until: Fraction of the run after which the whitening layer's bias is fixed.
      interval: Steps between two synchronisations.
      slow_decay: Share of the slow weights that a synchronisation at the end of the run keeps.
    """

    peak_lr: float = 1.0
    momentum: Fraction[float] = 0.85
    weight_decay: NonNegative[float] = 0.0
    bias_factor: Positive[float] = 64.0
    whitening_until: Positive[float] = 1.0
    interval: Positive[int] = 5
    slow_decay: Fraction[float] = 0.95**5

    def _rule(self, factor, batch_size, total_steps):
        rest = round(self.whitening_until * total_steps)

        def sgd(times=1.0, share=factor):
            return coupled_sgd(
                lambda step: times * self.learning_rate(share, batch_size)(step),
                self.momentum,
                weight_decay=self.weight_decay / times,
            )

        fast = optax.partition(
            {
                "filters": sgd(),
                "head": sgd(),
                "bias": sgd(times=self.bias_factor),
                "whitening": sgd(share=lambda step: factor(step) * (step < rest)),
            },
            groups,
        )
        return lookahead(
            fast,
            interval=self.interval,
            kept=lambda step: self.slow_decay * (step / total_steps) ** 3,
            total_steps=total_steps,
        )

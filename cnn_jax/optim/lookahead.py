"""Weights that return to slower ones every few steps."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnn_jax import ranges
from cnn_jax.optim.averages import average_of_one
from cnn_jax.optim.groups import groups
from cnn_jax.optim.optimizer import Factor, Optimizer
from cnn_jax.optim.sgd import coupled_sgd


class LookaheadState(NamedTuple):
    """The rule's own state, the slow weights, and the steps taken."""

    rule: optax.OptState
    slow: optax.Params
    step: jax.Array


def lookahead(
    rule: optax.GradientTransformation, *, interval: int, kept: Factor, total_steps: int
) -> optax.GradientTransformation:
    """Lookahead around a rule (Zhang et al. 2019, arXiv:1907.08610), at a rate that changes.

    After every `interval` steps, `slow = kept slow + (1 - kept) fast`, and the parameters become
    the slow weights. Those are also what they are after the last step. The rule keeps its momentum.

    Args:
      rule: What moves the parameters, the fast weights.
      interval: Steps between two meetings.
      kept: Share of the slow weights that a meeting after so many steps keeps.
      total_steps: Steps of the run.
    """

    def init(params):
        return LookaheadState(rule.init(params), average_of_one(params), jnp.zeros((), jnp.int32))

    def update(gradients, state, params=None):
        if params is None:
            raise ValueError(optax.NO_PARAMS_MSG)
        updates, rule_state = rule.update(gradients, state.rule, params)
        step = state.step + 1
        meet, share = step % interval == 0, kept(step)

        def slower(s, p, u):
            return jnp.where(meet, share * s + (1 - share) * (p + u), s)

        slow = jax.tree.map(slower, state.slow, params, updates)
        back = meet | (step == total_steps)
        updates = jax.tree.map(lambda s, p, u: jnp.where(back, s - p, u), slow, params, updates)
        return updates, LookaheadState(rule_state, slow, step)

    return optax.GradientTransformation(init, update)


@dataclasses.dataclass(frozen=True)
class Lookahead:
    """Lookahead around any optimiser, at a constant rate (Zhang et al. 2019, arXiv:1907.08610).

    In the midst of a run validation sees the weights as they are then, and so does the test where
    patience ended the run; the last planned step leaves the slow ones.

    Attributes:
      interval: Steps between two returns to the slow weights; the authors' program has 5.
      slow_step: Share of the way to the fast weights that the slow ones go at a return; there 0.8.
    """

    interval: int = 5
    slow_step: float = 0.8

    def __post_init__(self):
        ranges.positive(interval=self.interval, slow_step=self.slow_step)
        ranges.probability(slow_step=self.slow_step)

    def around(
        self, rule: optax.GradientTransformation, total_steps: int
    ) -> optax.GradientTransformation:
        """The rule with the returns, for a run of so many steps."""
        kept = jnp.float32(1 - self.slow_step)
        return lookahead(
            rule, interval=self.interval, kept=lambda step: kept, total_steps=total_steps
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LookaheadSGD(Optimizer):
    """Nesterov SGD with lookahead and faster biases, as in airbench96 and nearly in airbench93.

    (Jordan 2024, arXiv:2404.00498.) The weights that lookahead returns to keep a share that grows
    with the cube of the time. The running statistics of norms are left as they are, while the
    publication averages them too. Its airbench93 begins with lookahead in the fourth epoch, and
    also returns to the slow weights at the end of each.

    Attributes:
      peak_lr: Highest rate of filters and fully connected layers.
      momentum: Nesterov momentum.
      weight_decay: Strength of the decay that is added to the gradient.
      bias_factor: Rate of the norms' biases over that of the rest; their decay is divided by it.
      whitening_until: Fraction of the run after which the whitening layer's bias rests.
      interval: Steps between two returns to the slow weights.
      slow_decay: Share of the slow weights that a return at the run's end keeps.
    """

    peak_lr: float = 1.0
    momentum: float = 0.85
    weight_decay: float = 0.0
    bias_factor: float = 64.0
    whitening_until: float = 1.0
    interval: int = 5
    slow_decay: float = 0.95**5

    def __post_init__(self):
        super().__post_init__()
        ranges.fraction(momentum=self.momentum, slow_decay=self.slow_decay)
        ranges.non_negative(weight_decay=self.weight_decay)
        ranges.positive(
            bias_factor=self.bias_factor,
            whitening_until=self.whitening_until,
            interval=self.interval,
        )

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

"""Learning-rate schedules: the share of the peak learning rate at each step.

Their units are epochs and fractions of the run, which `experiment.Plan` converts to steps. No step
has the share 0: a curve of N steps starts at 1 and would reach its end at step N, one after the
last.
"""

import abc
import dataclasses

import jax.numpy as jnp
import optax

from cnn_jax.errors import UserError
from cnn_jax.optim.optimizer import Factor
from cnn_jax.ranges import Checked, Fraction, NonNegative, Positive, Probability

__all__ = ["Constant", "Cosine", "Linear", "MultiStep", "Schedule"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule(Checked, abc.ABC):
    """Linear warm-up to the peak, then the curve of the subclass, which starts at the peak.

    Attributes:
      warmup: Epochs of warm-up; 0: start at the peak.
      warmup_start: Share s of the peak learning rate at the first step: step k of n warm-up steps
        has the share s + (1 - s) k / n, as published for airbench. 0: step k has (k + 1) / n, so
        that the first step isn't wasted.
    """

    warmup: NonNegative[float] = 0.0
    warmup_start: Fraction[float] = 0.0

    def factor(self, total_steps: int, steps_per_epoch: int) -> Factor:
        """Returns the share f32[] of the peak learning rate as a function of the step i32[].

        Raises:
          UserError: The warm-up is not shorter than the run.
        """
        warmup = round(self.warmup * steps_per_epoch)
        if warmup >= total_steps:
            raise UserError(
                f"schedule.warmup must be shorter than the run of {total_steps / steps_per_epoch:g}"
                f" epochs, got {self.warmup!r}"
            )
        curve = self._curve(total_steps - warmup)
        if warmup == 0:
            return curve
        return optax.join_schedules([self._rise(warmup), curve], [warmup])

    def _rise(self, steps: int) -> Factor:
        if self.warmup_start == 0:
            return lambda step: (step + 1) / steps
        return optax.linear_schedule(self.warmup_start, 1.0, steps)

    @abc.abstractmethod
    def _curve(self, steps: int) -> Factor:
        """Returns the share as a function of the steps since the end of the warm-up."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The peak learning rate until the end."""

    def _curve(self, steps):
        return lambda step: jnp.ones_like(step, jnp.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """Linear decay from the peak to `end`.

    Step k of N has the share 1 + (end - 1) k / N: 1 at the first, (1 - end) / N above `end` at the
    last.

    Attributes:
      end: Share of the peak learning rate at the end of the run, after its last step.
    """

    end: Probability[float] = 0.0

    def _curve(self, steps):
        return optax.linear_schedule(1.0, self.end, steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Cosine decay from the peak to `end` (Loshchilov and Hutter 2017, arXiv:1608.03983).

    Step k of N has the share end + (1 - end) (1 + cos(pi k / N)) / 2: 1 at the first, about
    2.5 (1 - end) / N^2 above `end` at the last.

    Attributes:
      end: Share of the peak learning rate at the end of the run, after its last step.
    """

    end: Probability[float] = 0.0

    def _curve(self, steps):
        return optax.cosine_decay_schedule(1.0, steps, alpha=self.end)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiStep(Schedule):
    """The peak learning rate, multiplied by `gamma` at each milestone.

    The first step is at the peak. The drop at fraction f of N steps is at step f N, rounded, and at
    the second step at the earliest.

    Attributes:
      milestones: Fractions of the run after the warm-up, rising and below 1.
      gamma: Factor at each milestone, at most 1.
    """

    milestones: tuple[Positive[float], ...] = (0.5, 0.75)
    gamma: Positive[Probability[float]] = 0.1

    def __post_init__(self):
        super().__post_init__()
        if (
            list(self.milestones) != sorted(set(self.milestones))
            or max(self.milestones, default=0) >= 1
        ):
            raise ValueError(f"milestones must rise and be below 1, got {self.milestones!r}")

    def _curve(self, steps):
        drops = jnp.array([max(1, round(fraction * steps)) for fraction in self.milestones])
        return lambda step: self.gamma ** jnp.sum(step >= drops)

"""Learning-rate schedules: the share of the peak learning rate at each step.

Their units are epochs and fractions of the run, which `experiment.Plan` converts to steps.
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
    """Linear warm-up from `warmup_start` to the peak, then the curve of the subclass.

    Attributes:
      warmup: Epochs of warm-up; 0: start at the peak.
      warmup_start: Share of the peak learning rate at which the warm-up starts.
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
        rise = optax.linear_schedule(self.warmup_start, 1.0, warmup)
        return optax.join_schedules([rise, curve], [warmup])

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

    Attributes:
      end: Share of the peak learning rate at the end of the run.
    """

    end: Probability[float] = 0.0

    def _curve(self, steps):
        return optax.linear_schedule(1.0, self.end, steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Cosine decay from the peak to `end` (Loshchilov and Hutter 2017, arXiv:1608.03983).

    Attributes:
      end: Share of the peak learning rate at the end of the run.
    """

    end: Probability[float] = 0.0

    def _curve(self, steps):
        return optax.cosine_decay_schedule(1.0, steps, alpha=self.end)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiStep(Schedule):
    """The peak learning rate, multiplied by `gamma` at each milestone.

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

"""Gradient rules: how a step computes the gradient of a batch.

A rule is called as `rule(loss, params, batch, total) -> (gradients, (sums, statistics))`. The loss
is `loss(params, batch) -> (f32[], (sums, statistics))`: the sum of the examples' losses divided by
the size of the whole batch, the sums of other metrics, and the running statistics of norms.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnn_jax.data.batch import Batch
from cnn_jax.errors import UserError
from cnn_jax.ranges import Checked, Positive

__all__ = ["ASAM", "SAM", "Accumulate", "GradientRule", "Plain"]

Aside = tuple[Any, Any]
BatchLoss = Callable[[optax.Params, Batch], tuple[jax.Array, Aside]]
# Turns this program's sums into those over all devices.
Total = Callable[[Any], Any]

# Keeps the division by the norm of a zero gradient finite.
TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class GradientRule(Checked, abc.ABC):
    """Base class of all gradient rules."""

    @property
    def passes(self) -> int:
        """Forward and backward passes per example and step."""
        return 1

    def check(self, examples: int) -> None:
        """Raises UserError if the rule can't process a batch of this many examples."""
        del examples

    @abc.abstractmethod
    def __call__(
        self, loss: BatchLoss, params: optax.Params, batch: Batch, total: Total
    ) -> tuple[optax.Updates, Aside]:
        """Returns this program's share of the gradient, and the first pass's sums and statistics.

        Args:
          loss: The loss to minimise.
          params: Parameters at which the gradient is computed.
          batch: This program's examples.
          total: Sums a tree over all devices.
        """


@dataclasses.dataclass(frozen=True)
class Plain(GradientRule):
    """The gradient of the mean loss."""

    def __call__(self, loss, params, batch, total):
        return jax.grad(loss, has_aux=True)(params, batch)


@dataclasses.dataclass(frozen=True)
class SAM(GradientRule):
    """Sharpness-aware minimisation (Foret et al. 2021, arXiv:2010.01412), at twice the cost.

    The gradient is computed at p + rho g / |g|, where g is the plain gradient. Loss, accuracy and
    running statistics are those of the first pass. |g| is the norm over the whole batch, so that
    the result does not depend on the number of devices; the authors use each device's own norm, as
    `Accumulate(parts, SAM())` does for parts of the batch. Weight decay belongs to the
    optimiser, so g leaves it out; the authors have it in the loss, and so in g.

    Attributes:
      rho: Distance to the point at which the gradient is computed.
    """

    rho: Positive[float] = 0.05

    @property
    def passes(self):
        return 2

    def __call__(self, loss, params, batch, total):
        gradient = jax.grad(loss, has_aux=True)
        uphill, aside = gradient(params, batch)
        sharper = self._sharper(params, total(uphill))
        return gradient(sharper, batch)[0], aside

    def _sharper(self, params: optax.Params, uphill: optax.Updates) -> optax.Params:
        scale = self.rho / (optax.tree.norm(uphill) + TINY)
        return jax.tree.map(lambda p, g: p + scale * g, params, uphill)


@dataclasses.dataclass(frozen=True)
class ASAM(SAM):
    """SAM that is invariant to the scale of the weights (Kwon et al. 2021, arXiv:2102.11600).

    The gradient is computed at p + rho t^2 g / |t g|, with t = |p| + eta, and t = 1 for biases.

    Attributes:
      rho: Distance to the point at which the gradient is computed, in units of t.
      eta: Added to the absolute value of a weight.
    """

    rho: Positive[float] = 0.5
    eta: Positive[float] = 0.01

    def _sharper(self, params, uphill):
        def size(path, p):
            bias = getattr(path[-1], "key", "") == "bias"
            return jnp.ones_like(p) if bias else abs(p) + self.eta

        sizes = jax.tree_util.tree_map_with_path(size, params)
        scaled = jax.tree.map(jnp.multiply, sizes, uphill)
        scale = self.rho / (optax.tree.norm(scaled) + TINY)
        return jax.tree.map(lambda p, t, g: p + scale * t * g, params, sizes, scaled)


@dataclasses.dataclass(frozen=True)
class Accumulate(GradientRule):
    """Gradient accumulation: processes the batch in equal parts, which saves memory.

    BatchNorm sees one part at a time. Each part updates the running statistics from before the
    step, and their mean is kept, so that the norm's momentum does not depend on the number of
    parts.

    Attributes:
      parts: Number of parts, which must divide the batch's examples on each device.
      rule: Gradient rule for each part.
    """

    parts: Positive[int] = 4
    rule: GradientRule = Plain()

    @property
    def passes(self):
        return self.rule.passes

    def check(self, examples):
        if examples % self.parts:
            raise UserError(
                f"gradient.parts must divide the {examples} examples that a device processes, "
                f"got {self.parts}"
            )
        self.rule.check(examples // self.parts)

    def __call__(self, loss, params, batch, total):
        self.check(len(batch.index))

        def in_parts(x):
            # Strided parts, so that they are the same where the batch is split over devices.
            if x.ndim == 0:
                return jnp.broadcast_to(x, self.parts)
            return x.reshape(-1, self.parts, *x.shape[1:]).swapaxes(0, 1)

        def add(gradients, part):
            more, aside = self.rule(loss, params, part, total)
            return jax.tree.map(jnp.add, gradients, more), aside

        zero = jax.tree.map(jnp.zeros_like, params)
        gradients, (sums, statistics) = jax.lax.scan(add, zero, jax.tree.map(in_parts, batch))
        sums = jax.tree.map(lambda x: jnp.sum(x, 0, dtype=x.dtype), sums)

        def mean(x):
            if not jnp.issubdtype(x.dtype, jnp.inexact):  # such as a counter
                return x[0]
            # Written this way, the mean of equal numbers is exactly that number.
            return x[0] + jnp.mean(x - x[0], 0)

        return gradients, (sums, jax.tree.map(mean, statistics))

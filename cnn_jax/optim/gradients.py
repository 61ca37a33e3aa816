"""Gradient rules: how the gradient of a batch is found.

A rule is called as `rule(loss, params, batch, total) -> (gradients, (sums, statistics))`. The loss
is `loss(params, batch) -> (f32[], (sums, statistics))`: a sum over the examples, which the size of
the whole batch has divided already; what else is summed over them; and what a norm keeps of them.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnn_jax import ranges
from cnn_jax.data.batch import Batch
from cnn_jax.errors import UserError

__all__ = ["ASAM", "SAM", "Accumulate", "GradientRule", "Plain"]

Aside = tuple[Any, Any]
BatchLoss = Callable[[optax.Params, Batch], tuple[jax.Array, Aside]]
# From this program's sums to those over all devices.
Total = Callable[[Any], Any]

# A gradient of zero has no direction to be divided out.
TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class GradientRule(abc.ABC):
    """What every rule is an instance of."""

    @property
    def passes(self) -> int:
        """Forward and backward passes that a step takes over each example."""
        return 1

    def check(self, examples: int) -> None:
        """Raises UserError where the rule can't take so many examples at once."""
        del examples

    @abc.abstractmethod
    def __call__(
        self, loss: BatchLoss, params: optax.Params, batch: Batch, total: Total
    ) -> tuple[optax.Updates, Aside]:
        """This program's share of the gradient, and what stood aside as the batch was first seen.

        Args:
          loss: What is to fall.
          params: Where the gradient is taken.
          batch: This program's examples.
          total: Sums over all devices.
        """


@dataclasses.dataclass(frozen=True)
class Plain(GradientRule):
    """The gradient of the mean loss."""

    def __call__(self, loss, params, batch, total):
        return jax.grad(loss, has_aux=True)(params, batch)


@dataclasses.dataclass(frozen=True)
class SAM(GradientRule):
    """Sharpness-aware minimisation (Foret et al. 2021, arXiv:2010.01412): a step costs two.

    The gradient is taken at p + rho g / |g|, g being the plain one. Loss, accuracy and running
    statistics are those of the first pass. |g| is that of the whole batch, on all devices, so that
    their number changes nothing; the authors take each device's own, which
    `Accumulate(parts, SAM())` does for parts of the batch.

    Attributes:
      rho: Distance to the point at which the gradient is taken.
    """

    rho: float = 0.05

    def __post_init__(self):
        ranges.positive(rho=self.rho)

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
    """SAM that does not depend on the weights' scale (Kwon et al. 2021, arXiv:2102.11600).

    The gradient is taken at p + rho t^2 g / |t g|, with t = |p| + eta, and t = 1 for biases.

    Attributes:
      rho: Distance to the point at which the gradient is taken, in units of t.
      eta: Added to a weight's size.
    """

    rho: float = 0.5
    eta: float = 0.01

    def __post_init__(self):
        super().__post_init__()
        ranges.positive(eta=self.eta)

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
    """The batch in equal parts, one after another: the memory of a part, the gradient of the whole.

    BatchNorm sees a part at a time. Each part's running statistics start from those before the
    step, and their mean is kept: the norm's momentum counts steps, whatever the number of parts.

    Attributes:
      parts: How many; they must divide the examples that a device has of the batch.
      rule: How the gradient of a part is found.
    """

    parts: int = 4
    rule: GradientRule = Plain()

    def __post_init__(self):
        ranges.positive(parts=self.parts)

    @property
    def passes(self):
        return self.rule.passes

    def check(self, examples):
        if examples % self.parts:
            raise UserError(
                f"gradient.parts must divide the {examples} examples that are taken at once, "
                f"got {self.parts}"
            )
        self.rule.check(examples // self.parts)

    def __call__(self, loss, params, batch, total):
        self.check(len(batch.index))

        def in_parts(x):
            # Every so many examples: a part is spread over the devices as the batch is.
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
            if not jnp.issubdtype(x.dtype, jnp.inexact):  # a counter has no mean
                return x[0]
            # In this form the mean of equal numbers is that number, to the last bit.
            return x[0] + jnp.mean(x - x[0], 0)

        return gradients, (sums, jax.tree.map(mean, statistics))

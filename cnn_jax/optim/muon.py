"""Muon: orthogonalised momentum for convolution filters."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnn_jax.optim.airbench_groups import groups
from cnn_jax.optim.optimizer import Optimizer
from cnn_jax.optim.sgd import coupled_sgd
from cnn_jax.ranges import Fraction, NonNegative, Positive

# Quintic of Jordan et al. 2024: iterating it moves every singular value close to 1 in few steps.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
# Iterations per Gram matrix: with more, rounding errors would swamp small singular values.
ITERATIONS_A_GRAM = 3


def orthogonalize(matrix: jax.Array, steps: int) -> jax.Array:
    """Approximates the nearest semi-orthogonal matrix by Newton-Schulz: f32[M,N] -> f32[M,N].

    An iteration is x = p x with p = a + b g + c g^2 and g = x x^T. All p are polynomials in the
    first g, so they commute, and the next g is p g p: only the first and the last product involve
    the wide matrix.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (jnp.linalg.norm(wide) + 1e-7)
    for first in range(0, steps, ITERATIONS_A_GRAM):
        x = _iterated(x, min(ITERATIONS_A_GRAM, steps - first))
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _iterated(x: jax.Array, steps: int) -> jax.Array:
    a, b, c = COEFFICIENTS
    # Accelerators multiply in half precision by default, which is not accurate enough here.
    dot = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    gram, identity = dot(x, x.T), jnp.eye(len(x), dtype=x.dtype)
    product = identity
    for step in range(steps):
        polynomial = a * identity + b * gram + c * dot(gram, gram)
        product = dot(polynomial, product) if step else polynomial
        if step < steps - 1:
            gram = dot(dot(gram, polynomial), polynomial)
    return dot(product, x)


class MuonState(NamedTuple):
    """The momentum of each parameter."""

    momentum: optax.Updates


def scale_by_muon(momentum: float, steps: int) -> optax.GradientTransformation:
    """Applies Nesterov momentum, then orthogonalises kernels [...,C_out] as matrices [C_out,N]."""

    def init(params):
        return MuonState(jax.tree.map(jnp.zeros_like, params))

    def update(gradients, state, params=None):
        del params
        buffer = jax.tree.map(lambda m, g: momentum * m + g, state.momentum, gradients)
        ahead = jax.tree.map(lambda m, g: g + momentum * m, buffer, gradients)

        def direction(kernel):
            matrix = kernel.reshape(-1, kernel.shape[-1]).T
            return orthogonalize(matrix, steps).T.reshape(kernel.shape)

        return jax.tree.map(direction, ahead), MuonState(buffer)

    return optax.GradientTransformation(init, update)


def rescale_filters() -> optax.GradientTransformation:
    """Adds to each update the rescaling of its kernel [...,C_out] to the norm sqrt(C_out)."""

    def update(updates, state, params=None):
        if params is None:
            raise ValueError(optax.NO_PARAMS_MSG)

        def add(u, p):
            norm = jnp.linalg.norm(p)
            # A kernel of zeros, such as the last of a residual branch at first, can't be rescaled.
            return u + p * (jnp.sqrt(p.shape[-1]) / jnp.where(norm > 0, norm, 1) - 1)

        return jax.tree.map(add, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Muon(Optimizer):
    """Muon on the filters of convolutions, SGD with Nesterov momentum on the rest.

    As in airbench94 (Jordan 2024, github.com/KellerJordan/cifar10-airbench): filters are rescaled
    to the norm sqrt(C_out) before each step; biases and the head have their own learning rates,
    which follow the schedule too; the whitening layer's bias is trained only at first.

    Attributes:
      peak_lr: Highest learning rate of the filters' orthogonalised steps.
      momentum: Share of the filters' last momentum that is kept.
      iterations: Newton-Schulz iterations per step.
      bias_lr: Highest SGD learning rate of biases and norms' scales, for the mean loss over
        `sgd_per_batch` examples.
      head_lr: Highest SGD learning rate of the fully connected layers, likewise.
      sgd_per_batch: Batch size for which `bias_lr` and `head_lr` are meant.
      sgd_momentum: Nesterov momentum of SGD.
      weight_decay: Share of its value that a weight trained by SGD loses per step and per example
        of the batch, at the schedule's highest point.
      whitening_until: Fraction of the run after which the whitening layer's bias is fixed.
    """

    peak_lr: float = 0.24
    momentum: Fraction[float] = 0.6
    iterations: Positive[int] = 3
    bias_lr: Positive[float] = 106.0
    head_lr: Positive[float] = 1340.0
    sgd_per_batch: Positive[int] = 2000
    sgd_momentum: Fraction[float] = 0.85
    weight_decay: NonNegative[float] = 2e-6
    whitening_until: Positive[float] = 0.375

    def _rule(self, factor, batch_size, total_steps):
        scale = batch_size / self.sgd_per_batch
        rest = self.whitening_until * total_steps

        def sgd(peak, share):
            return coupled_sgd(
                lambda step: peak * scale * share(step),
                self.sgd_momentum,
                weight_decay=self.weight_decay * self.sgd_per_batch / peak,
            )

        return optax.partition(
            {
                "filters": optax.chain(
                    scale_by_muon(self.momentum, self.iterations),
                    optax.scale_by_learning_rate(self.learning_rate(factor, batch_size)),
                    rescale_filters(),
                ),
                "bias": sgd(self.bias_lr, factor),
                "whitening": sgd(self.bias_lr, lambda step: jnp.maximum(0.0, 1 - step / rest)),
                "head": sgd(self.head_lr, factor),
            },
            groups,
        )

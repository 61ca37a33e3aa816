"""Stochastic depth: drops residual branches at random in training."""

import jax
import jax.numpy as jnp

from cnn_jax.models import layers
from cnn_jax.ranges import Fraction


class StochasticDepth(layers.Net):
    """Huang et al. 2016 (arXiv:1603.09382), for the branch of a residual block.

    f[B,...] -> f[B,...]. In training, an example's branch is zeroed with probability `rate` and
    otherwise divided by 1 - rate, which keeps its mean; in evaluation it is unchanged. (The
    publication multiplies by 1 - rate in evaluation instead.) Draws from the stream "dropout".

    Attributes:
      rate: Probability that an example's branch is dropped, in [0, 1).
    """

    rate: Fraction[float]

    def __call__(self, branch: jax.Array, *, train: bool) -> jax.Array:
        if not train or self.rate == 0:
            return branch
        keep = 1 - self.rate
        shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
        kept = jax.random.bernoulli(self.make_rng("dropout"), keep, shape)
        return jnp.where(kept, branch / keep, 0)

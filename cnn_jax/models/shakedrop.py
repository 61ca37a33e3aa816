"""ShakeDrop: random scales of residuals that differ between forward and backward pass."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class ShakeDrop(nn.Module):
    """Yamada et al. 2019 (arXiv:1802.02375), for a block's residual: f[B,H,W,C] -> f[B,H,W,C].

    In training the residual is multiplied by b + alpha - b alpha, and its gradient by
    b + beta - b beta, where b is 0 with probability `death_rate` and otherwise 1, alpha is uniform
    in [-1, 1] and beta in [0, 1], each drawn per example. In evaluation the residual is multiplied
    by the expected factor, 1 - death_rate. Draws from the stream "dropout".

    Attributes:
      death_rate: Probability of disturbing the residual; 0: never, and nothing is drawn.
    """

    death_rate: float

    @nn.compact
    def __call__(self, residual: jax.Array, *, train: bool) -> jax.Array:
        if self.death_rate == 0:
            return residual
        if not train:
            return (1 - self.death_rate) * residual
        keys = jax.random.split(self.make_rng("dropout"), 3)
        shape = (residual.shape[0], 1, 1, 1)
        kept = jax.random.bernoulli(keys[0], 1 - self.death_rate, shape)
        alpha = jax.random.uniform(keys[1], shape, minval=-1)
        beta = jax.random.uniform(keys[2], shape)
        return scaled(residual, jnp.where(kept, 1, alpha), jnp.where(kept, 1, beta))


def scaled(x: jax.Array, forward: jax.Array, backward: jax.Array) -> jax.Array:
    """Computes `x * forward` with the gradient of `x * backward`.

    Args:
      x: f[B,H,W,C].
      forward: f32[B,1,1,1], factor of each example; no gradient flows to it.
      backward: f32[B,1,1,1], factor of each example's gradient; no gradient flows to it.
    """
    return _scaled(x, forward.astype(x.dtype), backward.astype(x.dtype))


@jax.custom_vjp
def _scaled(x, forward, backward):
    return x * forward


def _forward(x, forward, backward):
    return x * forward, backward


def _backward(backward, gradient):
    return gradient * backward, None, None


_scaled.defvjp(_forward, _backward)

"""Local response normalisation: divides each activation by those at the same place."""

import jax
import jax.numpy as jnp


def local_response_norm(
    volume: jax.Array, *, k: float = 2.0, n: int = 5, alpha: float = 1e-4, beta: float = 0.75
) -> jax.Array:
    """Krizhevsky et al. 2012, section 3.3: f[B,H,W,C] -> f[B,H,W,C].

    b_i = a_i / (k + alpha sum_j a_j^2)^beta, with the sum over the n channels nearest to i (fewer
    at both ends of the depth). PyTorch's `LocalResponseNorm` divides alpha by n. The sum and the
    power are computed in float32.

    Args:
      volume: f[B,H,W,C].
      k: Added to the sum.
      n: Channels in the sum, an odd number.
      alpha: Factor of the sum.
      beta: Exponent.
    """
    a = volume.astype(jnp.float32)
    depth, half = volume.shape[3], n // 2
    squares = jnp.pad(jnp.square(a), ((0, 0), (0, 0), (0, 0), (half, half)))
    total = sum(
        jax.lax.slice_in_dim(squares, first, first + depth, axis=3) for first in range(2 * half + 1)
    )
    return (a * (k + alpha * total) ** -beta).astype(volume.dtype)

"""Batch normalisation whose statistics keep their digits where the mean is far from 0."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last (Ioffe and Szegedy 2015, arXiv:1502.03167).

    Flax's `nn.BatchNorm`, with the same variables, computes the variance as E[x^2] - E[x]^2, which
    loses all digits where the mean is thousands of standard deviations from 0. Here both means are
    of x - c: c is the mean over the batch of each channel's middle pixel, which lies at most
    sqrt(pixels) standard deviations from the mean. Neither result nor gradient depends on c, so no
    gradient flows through it, and x is read as often as in Flax.

    The running variance is that of the batch, divided by n; PyTorch's is divided by n - 1.

    Attributes:
      use_running_average: Whether to normalise with the running statistics, as in evaluation.
      momentum: Share of the running statistics that a step keeps.
      epsilon: Added to the variance.
      use_scale: Whether there is a trained scale for each channel.
      use_bias: Whether there is a trained bias for each channel.
      axis_name: Mapped axis over which the batch is split, if it is.
    """

    use_running_average: bool
    momentum: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    bias_init: nn.initializers.Initializer = nn.initializers.zeros
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises a volume f[B,...,C]; statistics are float32."""
        depth = x.shape[-1:]
        mean = self.variable("batch_stats", "mean", jnp.zeros, depth, jnp.float32)
        variance = self.variable("batch_stats", "var", jnp.ones, depth, jnp.float32)
        parts, x = [x], x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.use_running_average:
            centred, spread = x - mean.value, variance.value
        else:
            centre = lax.stop_gradient(self._total(_middle(x).mean(0)))
            x = x - centre
            axes = tuple(range(x.ndim - 1))
            shift, square = self._total(jnp.stack([x.mean(axes), lax.square(x).mean(axes)]))
            spread = jnp.maximum(square - lax.square(shift), 0)
            centred = x - shift
            if not self.is_initializing():
                share = self.momentum
                mean.value = share * mean.value + (1 - share) * (centre + shift)
                variance.value = share * variance.value + (1 - share) * spread
        factor = lax.rsqrt(spread + self.epsilon)
        if self.use_scale:
            scale = self.param("scale", self.scale_init, depth)
            parts.append(scale)
            factor = factor * scale
        out = centred * factor
        if self.use_bias:
            bias = self.param("bias", self.bias_init, depth)
            parts.append(bias)
            out = out + bias
        return out.astype(jnp.result_type(*parts))

    def _total(self, means: jax.Array) -> jax.Array:
        """The means over all devices."""
        if self.axis_name is None or self.is_initializing():
            return means
        return lax.pmean(means, self.axis_name)


def _middle(x: jax.Array) -> jax.Array:
    """The middle pixel of each volume: f[B,...,C] -> f[B,C]."""
    return x[(slice(None), *(side // 2 for side in x.shape[1:-1]))]

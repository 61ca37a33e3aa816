"""BatchNorm over a batch, with its gradient in closed form."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Moments(NamedTuple):
    """The mean and the biased variance, E[x^2] - E[x]^2, of each channel, f32[C]."""

    mean: jax.Array
    variance: jax.Array

    def joined(self, others: "Moments") -> "Moments":
        """Those of the volumes side by side: of C and D channels, f32[C+D]."""
        return Moments(*(jnp.concatenate(pair) for pair in zip(self, others, strict=True)))


def batch_norm(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, known: Moments | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises each channel over all other axes (Ioffe and Szegedy 2015, arXiv:1502.03167).

    Equals `nn.BatchNorm`, whose automatic gradient passes over the volume nearly twice as often:
    the closed form reads x and the gradient of the result once for its sums and once for the
    gradient of x.

    Args:
      x: f[...,C].
      scale: f[C].
      bias: f[C].
      epsilon: Added to the variance.
      known: The moments of x; None: they are computed.

    Returns:
      The result, f[...,C] of the dtype of x; the mean and the variance of x, f32[C].
    """
    known = known or moments(x)
    return _normalise(x, scale, bias, *known, epsilon), *known


@jax.custom_vjp
def moments(x: jax.Array) -> Moments:
    """The moments of f[...,C] over all other axes."""
    axes, wide = _others(x), x.astype(jnp.float32)
    mean = wide.mean(axes)
    return Moments(mean, jnp.maximum(0.0, (wide * wide).mean(axes) - mean * mean))


def _moments(x):
    found = moments(x)
    return found, (x, found.mean)


def _moments_gradient(residuals, gradients):
    x, mean = residuals
    of_mean, of_variance = gradients
    count = x.size // x.shape[-1]
    per_x = 2 / count * of_variance
    # Not through x - mean: XLA would keep it from the forward pass, an array more.
    of_x = per_x * x.astype(jnp.float32) + (of_mean / count - per_x * mean)
    return (of_x.astype(x.dtype),)


moments.defvjp(_moments, _moments_gradient)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _normalise(x, scale, bias, mean, variance, epsilon):
    y = (x.astype(jnp.float32) - mean) * (lax.rsqrt(variance + epsilon) * scale) + bias
    return y.astype(x.dtype)


def _normalise_forward(x, scale, bias, mean, variance, epsilon):
    residuals = (x, scale, bias, mean, variance)
    return _normalise(*residuals, epsilon), residuals


def _normalise_gradient(epsilon, residuals, of_y):
    x, scale, bias, mean, variance = residuals
    wide, of_y = x.astype(jnp.float32), of_y.astype(jnp.float32)
    inverse = lax.rsqrt(variance + epsilon)
    of_bias = of_y.sum(_others(x))
    product = (of_y * wide).sum(_others(x)) - mean * of_bias
    slope = inverse * scale
    return (
        (slope * of_y).astype(x.dtype),
        (inverse * product).astype(scale.dtype),
        of_bias.astype(bias.dtype),
        -slope * of_bias,
        -0.5 * slope * inverse**2 * product,
    )


_normalise.defvjp(_normalise_forward, _normalise_gradient)


def _others(x: jax.Array) -> tuple[int, ...]:
    """All axes but the channels'."""
    return tuple(range(x.ndim - 1))

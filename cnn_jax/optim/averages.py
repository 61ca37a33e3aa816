"""Exponential moving averages (EMA) of the weights."""

from typing import Any

import jax
import jax.numpy as jnp


def initial_average(tree: Any) -> Any:
    """Returns a copy of a tree of arrays, from which a running average can start.

    It is a copy, because a buffer can't be donated twice. Half-precision arrays become float32, as
    half precision would round small updates of the average away.
    """

    def copy(x):
        inexact = jnp.issubdtype(x.dtype, jnp.inexact)
        return jnp.array(x, jnp.promote_types(x.dtype, jnp.float32) if inexact else x.dtype)

    return jax.tree.map(copy, tree)


def moving_average(average: Any, new: Any, decay: float, step: jax.Array) -> Any:
    """Returns the average of the weights after a step.

    Step t, from 0, keeps min(decay, (1 + t) / (10 + t)) of it, as TensorFlow's
    `ExponentialMovingAverage` does with `num_updates`: a run that is short for its decay forgets
    its initial weights too. Running statistics are averaged like the parameters, as in timm and
    EfficientNet: they belong to the weights they were measured with.

    Args:
      average: The average before the step, `{"params", "batch_stats"}`.
      new: The variables after the step, likewise.
      decay: The experiment's `ema`.
      step: Number of the step, i32[].
    """
    number = step.astype(jnp.float32)
    share = 1 - jnp.minimum(decay, (1 + number) / (10 + number))

    def blend(old, new):
        if not jnp.issubdtype(old.dtype, jnp.inexact):  # a counter is not averaged
            return new
        # In this form a constant (the whitening filters) keeps its exact bits.
        return old + share * (new - old)

    return jax.tree.map(blend, average, new)

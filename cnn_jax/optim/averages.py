"""Initial values for running averages of weights."""

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

"""What running averages of weights begin as."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def average_of_one(tree: Any) -> Any:
    """The average of a tree of arrays alone: a copy, as a buffer can't be donated twice.

    It is float32 where they are of half precision, in which small steps to the next would be lost.
    """

    def copy(x):
        inexact = jnp.issubdtype(x.dtype, jnp.inexact)
        return jnp.array(x, jnp.promote_types(x.dtype, jnp.float32) if inexact else x.dtype)

    return jax.tree.map(copy, tree)

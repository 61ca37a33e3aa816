"""The axis of the devices that have a part of a batch each, and what they exchange over it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# The mesh axis over which a batch is split.
BATCH_AXIS = "batch"


def is_split() -> bool:
    """Whether the function being traced sees only one of several devices' part of the batch."""
    try:
        jax.lax.axis_index(BATCH_AXIS)
    except NameError:
        return False
    return True


class OfBatch:
    """Base class of a step's arguments that are split over the devices, by their first axis."""


def unchanged(tree: Any) -> Any:
    """The `split` and `total` of a device that has the whole batch."""
    return tree


def own_part(devices: int) -> Callable[[jax.Array], jax.Array]:
    """Returns the function that takes this device's part of a batch's index i32[B]."""

    def part(index: jax.Array) -> jax.Array:
        share = index.shape[0] // devices
        return jax.lax.dynamic_slice_in_dim(index, jax.lax.axis_index(BATCH_AXIS) * share, share)

    return part


def sum_over_devices(tree: Any) -> Any:
    """Sums arrays over the devices that have a part of the batch each."""
    # Together: the compiler would start to sum some of the arrays before it has all of them.
    return jax.lax.psum(jax.lax.optimization_barrier(tree), BATCH_AXIS)


def of_first_device(tree: Any, *, axis: str) -> Any:
    """Returns the first device's arrays on every device.

    Devices that compute the same may round differently, where a kernel is not deterministic; copies
    of the state would drift apart.
    """

    def copied(x):
        first = jax.lax.axis_index(axis) == 0
        return jax.lax.psum(jnp.where(first, x, jnp.zeros_like(x)), axis).astype(x.dtype)

    return jax.tree.map(copied, tree)

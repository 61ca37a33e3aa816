"""Distributes a step over the devices: each takes a part of the batch, and sums are exchanged."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax.stages import Lowered

from cnn_jax.errors import UserError
from cnn_jax.runtime import cluster
from cnn_jax.runtime.jit_parallel import Jit
from cnn_jax.runtime.pmap_parallel import Pmap

# Steps in flight on the devices: enough to keep them busy, few enough that simulated devices cannot
# dead-lock in their all-reduce.
IN_FLIGHT = 4


class Parallel(Protocol):
    """Places replicated pytrees on the devices and lowers steps that run on them."""

    @property
    def devices(self) -> Sequence[jax.Device]:
        """The devices."""

    def place(self, tree: Any) -> Any:
        """Replicates a tree of arrays on every device."""

    def shapes(self, tree: Any) -> Any:
        """Returns the shapes of a placed tree, given arrays or shapes."""

    def rows(self, size: int) -> np.ndarray:
        """Returns which examples of a batch of this size the devices of this process take."""

    def join(self, rows: Any, size: int) -> Any:
        """Places a batch of this size on the devices, given this process's rows, as `OfBatch`.

        If the devices do not divide the size, each of them has the whole batch.
        """

    def batch_shapes(self, tree: Any) -> Any:
        """Returns the shapes of a batch that `join` places, given those of the whole batch."""

    def fetch(self, tree: Any) -> Any:
        """Returns one replica of a placed tree, as arrays of this process for `jit`."""

    def lower(self, step: Callable, *arguments: Any, whole: bool = False) -> Lowered:
        """Traces `step(state, *rest, split=, total=)` for placed arguments or their shapes.

        The compiled program donates `state`.

        Args:
          step: The step.
          *arguments: Its arguments, placed, or their shapes.
          whole: Whether each device computes the whole batch, which the devices need not divide
            then. All devices get the results of the first.
        """


def parallel(kind: str, batch_size: int, devices: Sequence[jax.Device] | None = None) -> Parallel:
    """Returns the `Parallel` of an experiment ("jit" or "pmap").

    Args:
      kind: "jit" or "pmap".
      batch_size: Examples of a step, on all devices.
      devices: The devices; None: all of the job's.

    Raises:
      UserError: The batch size is not a multiple of the number of devices, or several processes
        are to use "pmap".
    """
    if kind == "pmap" and cluster.number() > 1:
        raise UserError("parallel must be 'jit' in a job of several processes, got 'pmap'")
    devices = jax.devices() if devices is None else devices
    number = len(devices)
    if batch_size % number:
        below = batch_size // number * number
        nearest = [str(size) for size in (below, below + number) if size]
        raise UserError(
            f"batch_size must be a multiple of the {number:,} devices, got {batch_size}; the "
            f"nearest is {' or '.join(nearest)}"
        )
    return Pmap(devices) if kind == "pmap" else Jit(devices)

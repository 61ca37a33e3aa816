"""Distributes a step over the devices: each takes a part of the batch, and sums are exchanged."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jax.stages import Lowered

from cnn_jax.errors import UserError
from cnn_jax.runtime import cluster

# The mesh axis over which a batch is split.
BATCH_AXIS = "batch"
# The axis of the devices where each of them computes the whole batch.
REPLICA_AXIS = "replica"
# Steps in flight on the devices: enough to keep them busy, few enough that simulated devices cannot
# dead-lock in their all-reduce.
IN_FLIGHT = 4


def is_split() -> bool:
    """Whether the function being traced sees only one of several devices' part of the batch."""
    try:
        jax.lax.axis_index(BATCH_AXIS)
    except NameError:
        return False
    return True


class OfBatch:
    """Base class of a step's arguments that are split over the devices, by their first axis."""


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


class Jit:
    """One program over a mesh of devices: the batch is split, everything else is replicated.

    Several devices run one program each on their part, and sums are exchanged where the step says
    so (`shard_map`). Left to itself, XLA's partitioner gathers the activations of the whole batch
    for kernel gradients that work on a few images at a time.
    """

    def __init__(self, devices):
        self.devices = devices
        mesh = Mesh(devices, (BATCH_AXIS,), axis_types=(AxisType.Auto,))
        self.replicated = NamedSharding(mesh, PartitionSpec())
        self.sharded = NamedSharding(mesh, PartitionSpec(BATCH_AXIS))

    def place(self, tree):
        return _put(tree, self.replicated)

    def split(self, batch: Any) -> jax.Array:
        """Splits an array that each process has over the devices, by its first axis."""
        return _put(batch, self.sharded)

    def shapes(self, tree):
        return _shapes(tree, self.replicated)

    def rows(self, size):
        if size % len(self.devices):
            return np.arange(size)
        parts = self.sharded.addressable_devices_indices_map((size,)).values()
        return np.unique([np.arange(size)[part] for part in parts])

    def join(self, rows, size):
        if size % len(self.devices):
            return self.place(rows)
        if self.sharded.is_fully_addressable:
            return jax.device_put(rows, self.sharded)
        own = self.rows(size)

        def put(array):
            def part(index):
                return array[np.searchsorted(own, np.arange(size)[index[0]])]

            return jax.make_array_from_callback((size, *array.shape[1:]), self.sharded, part)

        return jax.tree.map(put, rows)

    def batch_shapes(self, tree):
        size = jax.tree.leaves(tree)[0].shape[0]
        return _shapes(tree, self.replicated if size % len(self.devices) else self.sharded)

    def fetch(self, tree):
        if self.replicated.is_fully_addressable:
            return tree
        return jax.tree.map(lambda x: x.addressable_data(0), tree)

    def lower(self, step, *arguments, whole=False):
        program = self._whole(step) if whole else self.spread(step)
        jitted = jax.jit(program, donate_argnums=0, out_shardings=self.replicated)
        return jitted.lower(*arguments)

    def spread(self, step: Callable) -> Callable:
        """Returns the program of all devices for `step(*arguments, split=, total=)`."""
        number = len(self.devices)
        if number == 1:
            return functools.partial(step, split=_unchanged, total=_unchanged)
        return self._on_each(
            functools.partial(step, split=_own_part(number), total=_sum_over_devices)
        )

    def _whole(self, step: Callable) -> Callable:
        copy = self._on_each(functools.partial(_of_first_device, axis=BATCH_AXIS))
        return lambda *arguments: copy(step(*arguments, split=_unchanged, total=_unchanged))

    def _on_each(self, function: Callable) -> Callable:
        """Runs a function on each device. Results are replicated, arguments too, or `OfBatch`."""

        def on_each(*arguments):
            specs = tuple(
                PartitionSpec(BATCH_AXIS) if isinstance(argument, OfBatch) else PartitionSpec()
                for argument in arguments
            )
            mapped = jax.shard_map(
                function,
                mesh=self.replicated.mesh,
                in_specs=specs,
                out_specs=PartitionSpec(),
                check_vma=False,
            )
            return mapped(*arguments)

        return on_each


class Pmap:
    """One program per device: each takes a part of the batch, and `psum` sums the gradients.

    The arrays of a placed tree have the devices as their first axis.
    """

    def __init__(self, devices):
        self.devices = devices
        mesh = Mesh(devices, (BATCH_AXIS,), axis_types=(AxisType.Auto,))
        self.stacked = NamedSharding(mesh, PartitionSpec(BATCH_AXIS))

    def place(self, tree):
        def stack(x):
            return jax.device_put(
                jnp.broadcast_to(x, (len(self.devices), *jnp.shape(x))), self.stacked
            )

        return jax.tree.map(stack, tree)

    def shapes(self, tree):
        devices = len(self.devices)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((devices, *x.shape), x.dtype), tree)

    def rows(self, size):
        return np.arange(size)

    def join(self, rows, size):
        if size % len(self.devices):
            return self.place(rows)
        return jax.device_put(self._stacked(rows), self.stacked)

    def batch_shapes(self, tree):
        size = jax.tree.leaves(tree)[0].shape[0]
        return (
            self.shapes(tree) if size % len(self.devices) else jax.eval_shape(self._stacked, tree)
        )

    def _stacked(self, tree):
        return jax.tree.map(lambda x: x.reshape(len(self.devices), -1, *x.shape[1:]), tree)

    def fetch(self, tree):
        # The first device's part. To slice the whole array would be a program of all devices.
        return jax.tree.map(lambda x: jnp.squeeze(x.addressable_data(0), 0), tree)

    def lower(self, step, *arguments, whole=False):
        def device_step(*arguments):
            return step(*arguments, split=_own_part(len(self.devices)), total=_sum_over_devices)

        def whole_step(*arguments):
            return _of_first_device(
                step(*arguments, split=_unchanged, total=_unchanged), axis=REPLICA_AXIS
            )

        mapped = jax.pmap(
            whole_step if whole else device_step,
            axis_name=REPLICA_AXIS if whole else BATCH_AXIS,
            devices=self.devices,
            donate_argnums=0,
        )
        return mapped.lower(*arguments)


def _put(tree: Any, sharding: NamedSharding) -> Any:
    """Places arrays that every process has, whole, on the devices of all processes."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def put(array):
        if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            data = put(jax.random.key_data(array))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
        host = np.asarray(array)
        return jax.make_array_from_callback(host.shape, sharding, lambda part: host[part])

    return jax.tree.map(put, tree)


def _shapes(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def _unchanged(tree: Any) -> Any:
    return tree


def _own_part(devices: int) -> Callable[[jax.Array], jax.Array]:
    """Returns the function that takes this device's part of a batch's index i32[B]."""

    def part(index: jax.Array) -> jax.Array:
        share = index.shape[0] // devices
        return jax.lax.dynamic_slice_in_dim(index, jax.lax.axis_index(BATCH_AXIS) * share, share)

    return part


def _sum_over_devices(tree: Any) -> Any:
    # Together: the compiler would start to sum some of the arrays before it has all of them.
    return jax.lax.psum(jax.lax.optimization_barrier(tree), BATCH_AXIS)


def _of_first_device(tree: Any, *, axis: str) -> Any:
    """Returns the first device's arrays on every device.

    Devices that compute the same may round differently, where a kernel is not deterministic; copies
    of the state would drift apart.
    """

    def copied(x):
        first = jax.lax.axis_index(axis) == 0
        return jax.lax.psum(jnp.where(first, x, jnp.zeros_like(x)), axis).astype(x.dtype)

    return jax.tree.map(copied, tree)

"""Data parallelism by `jax.jit` over a mesh of devices, of one process or of several."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cnn_jax.runtime.batch_axis import (
    BATCH_AXIS,
    OfBatch,
    of_first_device,
    own_part,
    sum_over_devices,
    unchanged,
)


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
            return functools.partial(step, split=unchanged, total=unchanged)
        return self._on_each(
            functools.partial(step, split=own_part(number), total=sum_over_devices)
        )

    def _whole(self, step: Callable) -> Callable:
        copy = self._on_each(functools.partial(of_first_device, axis=BATCH_AXIS))
        return lambda *arguments: copy(step(*arguments, split=unchanged, total=unchanged))

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

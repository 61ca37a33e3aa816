"""Data parallelism by `jax.pmap`: gradients are summed explicitly."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cnn_jax.runtime.batch_axis import (
    BATCH_AXIS,
    of_first_device,
    own_part,
    sum_over_devices,
    unchanged,
)

# The axis of the devices where each of them computes the whole batch.
REPLICA_AXIS = "replica"


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
            # Not a broadcast on one device: all copies would be in its memory at once.
            shape = (len(self.devices), *jnp.shape(x))
            copies = [jax.device_put(jnp.asarray(x), device)[None] for device in self.devices]
            return jax.make_array_from_single_device_arrays(shape, self.stacked, copies)

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
            return step(*arguments, split=own_part(len(self.devices)), total=sum_over_devices)

        def whole_step(*arguments):
            return of_first_device(
                step(*arguments, split=unchanged, total=unchanged), axis=REPLICA_AXIS
            )

        mapped = jax.pmap(
            whole_step if whole else device_step,
            axis_name=REPLICA_AXIS if whole else BATCH_AXIS,
            devices=self.devices,
            donate_argnums=0,
        )
        return mapped.lower(*arguments)

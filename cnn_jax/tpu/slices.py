"""Describes TPU slices, and gets their devices from libtpu, on a machine without a TPU."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from cnn_jax.errors import UserError, first_line
from cnn_jax.tpu.chips import Chip, chip_of

# libtpu looks for a TPU, asks the network about it, complains that there is none, and refuses to be
# loaded by two processes at once.
WITHOUT_TPU = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
}


@dataclass(frozen=True)
class Slices:
    """One slice of TPU chips, or several that the data-centre network connects.

    Attributes:
      topology: Its name, such as "v5e:4x4".
      number: Number of slices.
      axes: Number of chips along each axis of a slice; axes of one chip are left out.
      chip: The chip; None if `chips.CHIPS` does not have it.
      devices: What JAX compiles for, in the order of the batch.
    """

    topology: str
    number: int
    axes: tuple[int, ...]
    chip: Chip | None
    devices: Sequence[jax.Device]

    @property
    def rings(self) -> tuple[bool, ...]:
        """Whether each axis closes to a ring."""
        if self.chip is None:
            return (False,) * len(self.axes)
        closed = tuple(axis % self.chip.ring == 0 for axis in self.axes)
        if self.chip.axes == 2:
            return closed
        return (len(closed) == 3 and all(closed),) * len(closed)

    @property
    def chips(self) -> int:
        """Number of chips of a slice."""
        return math.prod(self.axes)


def compile_without_tpu() -> None:
    """Sets JAX and libtpu up for a machine that has no TPU. Call it before JAX starts."""
    for name, value in WITHOUT_TPU.items():
        os.environ.setdefault(name, value)
    jax.config.update("jax_platforms", "cpu")


def slices(topology: str, number: int = 1) -> Slices:
    """Returns slices that libtpu knows.

    Args:
      topology: Kind and numbers of chips along the axes, such as "v5e:4x4" or "v5p:2x2x1".
      number: Number of slices.

    Raises:
      UserError: libtpu is not installed, or does not know the topology.
    """
    from jax.experimental import topologies

    topology = topology.lower()
    named = re.fullmatch(r"(\w+):(\d+(?:x\d+)*)", topology)
    if not named:
        raise UserError(
            f"--topology must be like v5e:4x4 (a v5litepod-16) or v5p:2x2x1, got {topology}"
        )
    more: Any = {"num_slices": number} if number > 1 else {}
    try:
        found = topologies.get_topology_desc(platform="tpu", topology_name=topology, **more)
    except RuntimeError as error:
        reason = first_line(error)
        if "not installed" in reason:
            raise UserError("--topology needs libtpu: pip install 'jax[tpu]'") from error
        raise UserError(f"--topology={topology}: libtpu refuses it: {reason}") from error
    axes = tuple(int(size) for size in named[2].split("x") if int(size) > 1)
    devices: Any = found.devices
    chip = chip_of(devices[0].device_kind)
    if chip and math.prod(axes) > chip.pod:
        raise UserError(
            f"--topology={topology}: a slice of {chip.name} has at most {chip.pod:,} chips; "
            "--num_slices connects several"
        )
    return Slices(topology, number, axes, chip, devices)

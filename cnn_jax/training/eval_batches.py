"""Splits examples into batches of one size, sharded over the devices."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from cnn_jax.data.dataset import Images
from cnn_jax.runtime.jit_parallel import Jit


class Batches:
    """Batches of one size, so that one compiled program serves all of them.

    Args:
      batch_size: Examples in a batch; rounded up to a multiple of the devices.
      devices: The devices; None: those of this process.

    Attributes:
      size: Examples in a batch, after rounding.
      devices: Replicates trees of arrays on every device.
    """

    def __init__(self, batch_size: int, devices: Sequence[jax.Device] | None = None):
        devices = devices or jax.local_devices()
        self.devices = Jit(devices)
        self.size = -(-batch_size // len(devices)) * len(devices)

    def count(self, examples: int) -> int:
        """The number of batches that these examples fill, the last one perhaps in part."""
        return -(-examples // self.size)

    def split(self, array: Images) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields consecutive parts of an array [N,...], each also padded to the batch size.

        Padding repeats examples of the part; results at its positions are to be dropped.
        """
        for start in range(0, len(array), self.size):
            part = array[start : start + self.size]
            yield part, self.pad(part)

    def pad(self, part: np.ndarray) -> np.ndarray:
        """Repeats examples of an array [n,...] up to the batch size; zeros if there are none."""
        return np.resize(part, (self.size, *part.shape[1:]))

    def shard(self, batch: Any) -> jax.Array:
        """Places a batch with its examples split over the devices."""
        return self.devices.split(batch)

"""Refuses data that needs more memory than is free, before any of it is read."""

import math
from collections.abc import Sequence

from cnn_jax.data.dataset import DataInvalid
from cnn_jax.errors import shape_text
from cnn_jax.runtime.free_memory import free_memory


def check_memory(name: str, number: int, shape: Sequence[int]) -> None:
    """Raises DataInvalid if so many images u8[H,W,C] need more memory than is free."""
    needed, free = number * math.prod(shape), free_memory()
    if needed > free:
        images = f"{number:,} images of {shape_text(shape)} bytes"
        raise DataInvalid(
            f"{name}: {images} are {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB of "
            "memory are free: set data.stream=true, lower data.size, or use fewer images"
        )

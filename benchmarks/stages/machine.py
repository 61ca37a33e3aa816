"""Stage 0: what the machine is, and the peaks that utilisation is measured against."""

import functools
import platform
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from cnn_jax.benchmark.machine import matmul_flops_per_second
from cnn_jax.runtime import hardware, host
from cnn_jax.runtime.timing import measure
from stages import gpu
from stages.task import Context, Row

GIB = 2**30


def run(context: Context) -> Iterator[Row]:
    """Yields the machine, its matrix-product peaks and its memory bandwidth."""
    yield (
        "machine/facts",
        {
            "device": hardware.device_name(),
            "platform": jax.local_devices()[0].platform,
            "gpu": gpu.facts(),
            "processor": host.processor(),
            "cores": host.cores(),
            "system": platform.platform(),
            "software": hardware.software(),
            "xla_flags": hardware.manifest()["xla_flags"],
        },
    )
    seconds = 0.02 if context.rehearse else 4.0
    peaks = {}
    # "default" is what a net gets: TF32 on NVIDIA's cards since Ampere.
    for name, dtype, precision in (
        ("float32", "float32", "highest"),
        ("float32_default", "float32", "default"),
        ("bfloat16", "bfloat16", "default"),
    ):
        with jax.default_matmul_precision(precision):
            peaks[name] = matmul_flops_per_second(dtype, seconds) / 1e12
    yield "machine/matmul", {"tflops_per_second": peaks}
    yield "machine/bandwidth", {"gb_per_second": bandwidth(seconds, GIB >> (10 * context.rehearse))}


def bandwidth(seconds: float, size: int) -> float:
    """Measures the memory bandwidth in GB/s: an array of `size` bytes is read and written."""
    increment = jax.jit(lambda x: x + 1, donate_argnums=0)
    array = jnp.zeros(size // 4, jnp.float32)

    def call() -> jax.Array:
        nonlocal array
        array = increment(array)
        return array[:1]

    taken = measure(functools.partial(call), seconds).best
    return 2 * size / taken / 1e9

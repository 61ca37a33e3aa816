"""Measures the machine's peak matmul throughput, and the peak memory in use."""

import functools

import jax
import jax.numpy as jnp

from cnn_jax.runtime import host
from cnn_jax.runtime.jit_parallel import Jit
from cnn_jax.runtime.timing import measure

SIDES = (512, 1024, 2048, 4096, 8192, 16384)


def matmul_flops_per_second(dtype: str, seconds: float) -> float:
    """Measures the peak FLOP/s of a matrix product over all devices.

    Square matrices of growing size, until one product takes a tenth of `seconds`; returns the best.

    Args:
      dtype: Type of the matrices, such as "float32" or "bfloat16".
      seconds: Time limit in seconds (approximate).
    """
    devices = jax.local_devices()
    parallel = Jit(devices)
    best = 0.0
    for side in SIDES:
        ones = jnp.ones((len(devices) * side, side), dtype)
        left, right = jax.device_put(ones, parallel.sharded), parallel.place(ones[:side])
        product = jax.jit(jnp.matmul, out_shardings=parallel.sharded).lower(left, right).compile()
        taken = measure(functools.partial(product, left, right), seconds / 4).best
        best = max(best, 2.0 * len(devices) * side**3 / taken)
        if taken > seconds / 10:
            break
    return best


def peak_memory() -> tuple[int, str]:
    """The peak memory in bytes, and whether it is of the fullest "device" or of this "process"."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [int(found["peak_bytes_in_use"]) for found in stats if "peak_bytes_in_use" in found]
    return (max(peaks), "device") if peaks else (host.peak_resident_bytes(), "process")

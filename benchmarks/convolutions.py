"""Milliseconds of convolutions and their gradients, stock and fast, on this machine.

    python benchmarks/convolutions.py [--batch_size=500] [--dtype=float32] [--repeats=7]

Each is compiled alone and timed `--repeats` times after one warm-up; the median is printed. The
times of a step's parts are smaller than their sum, since XLA fuses what stands between.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.runtime import malloc

NUMBERS = ("NHWC", "HWIO", "NHWC")
NONE = ((0, 0), (0, 0))
# Side and depth of the image, side of the window, padding, filters.
SHAPES = (
    # airbench94's 3x3 layers, without what the pools drop
    (31, 24, 3, ((1, 0), (1, 0)), 64),
    (15, 64, 3, ((1, 1), (1, 1)), 64),
    (15, 64, 3, ((1, 0), (1, 0)), 256),
    (7, 256, 3, ((1, 1), (1, 1)), 256),
    (7, 256, 3, ((1, 0), (1, 0)), 256),
    (3, 256, 3, ((1, 1), (1, 1)), 256),
    # of ResNet-50
    (32, 64, 1, NONE, 256),
    (16, 512, 1, NONE, 128),
    (8, 1024, 1, NONE, 256),
    (4, 2048, 1, NONE, 512),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch_size", type=int, default=500)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--repeats", type=int, default=7)
    flags = parser.parse_args()
    print(f"jax {jax.__version__}, batch {flags.batch_size}, {flags.dtype}; ms, stock / fast")
    print(f"{'image -> filters':<24}{'forward':>16}{'dImage':>16}{'dKernel':>16}")
    for side, depth, window, padding, filters in SHAPES:
        random = np.random.default_rng(0)
        image, kernel = (
            jnp.asarray(random.standard_normal(shape), flags.dtype)
            for shape in (
                (flags.batch_size, side, side, depth),
                (window, window, depth, filters),
            )
        )
        columns = zip(
            *(_times(stock, image, kernel, padding, flags.repeats) for stock in (True, False)),
            strict=True,
        )
        name = f"{side}x{side}x{depth} -> {filters}, {window}x{window}"
        print(f"{name:<24}" + "".join(f"{a:>8.0f} / {b:<5.0f}" for a, b in columns), flush=True)


def _times(stock: bool, image, kernel, padding, repeats: int) -> list[float]:
    """Milliseconds of the forward pass, of the image's gradient and of the kernel's."""

    def convolve(image, kernel):
        with ops.stock(stock):
            return ops.conv_general_dilated(
                image, kernel, (1, 1), padding, dimension_numbers=NUMBERS
            )

    def pull(argument: int) -> Callable:
        return lambda image, kernel, g: jax.vjp(convolve, image, kernel)[1](g)[argument]

    out = jax.jit(convolve)(image, kernel)
    return [
        _median(jax.jit(convolve), repeats, image, kernel),
        _median(jax.jit(pull(0)), repeats, image, kernel, out),
        _median(jax.jit(pull(1)), repeats, image, kernel, out),
    ]


def _median(function: Callable, repeats: int, *arguments) -> float:
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


if __name__ == "__main__":
    malloc.tune(sys.argv)
    main()

"""Measures the rounding error of Winograd's algorithm over the shapes that nets use.

    python benchmarks/winograd_error.py [--form=fast] [--dtype=float32]

`--form=onednn`: in C++. Images, kernels and gradients are random normal numbers. An error is the
largest difference from float64, divided by the standard deviation of the exact values.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests" / "ops")]
import reference_convolution as exact  # noqa: E402

from cnn_jax import ops  # noqa: E402

# Batch, side, channels and filters of 3x3 convolutions: airbench, ResNet-18, WRN-28-10, VGG-16.
SHAPES = (
    (8, 31, 24, 64),
    (8, 15, 64, 256),
    (16, 7, 256, 256),
    (4, 32, 64, 64),
    (4, 32, 160, 160),
    (4, 16, 128, 128),
    (8, 8, 640, 640),
    (16, 4, 512, 512),
    (32, 2, 512, 512),
)
PADDING = ((1, 1), (1, 1))


def errors(
    form: str, dtype: str, batch: int, side: int, channels: int, filters: int
) -> tuple[float, float, float]:
    """The errors of the output, and of the gradients of image and kernel."""
    random = np.random.default_rng(0)
    image, kernel, gradient = (
        jnp.asarray(random.standard_normal(shape), dtype)
        for shape in (
            (batch, side, side, channels),
            (3, 3, channels, filters),
            (batch, side, side, filters),
        )
    )

    @jax.jit
    def run(image, kernel, gradient):
        convolve = functools.partial(
            ops.conv_general_dilated,
            window_strides=(1, 1),
            padding=PADDING,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        out, pullback = jax.vjp(convolve, image, kernel)
        return out, *pullback(gradient)

    with ops.form(form):
        got = run(image, kernel, gradient)
    of_image, of_kernel = exact.gradients(image, kernel, gradient, (1, 1), PADDING)
    wanted = exact.convolution(image, kernel, (1, 1), PADDING), of_image, of_kernel
    forward, to_image, to_kernel = (exact.error(*pair) for pair in zip(got, wanted, strict=True))
    return forward, to_image, to_kernel


def main() -> None:
    """Prints the errors of each shape, and the largest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--form", default="fast", choices=("fast", "onednn"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    flags = parser.parse_args()
    print("batch side channels filters: forward, image's gradient, kernel's gradient")
    found = []
    for shape in SHAPES:
        found.append(errors(flags.form, flags.dtype, *shape))
        print(*shape, *(f"{error:.1e}" for error in found[-1]), flush=True)
    print("largest", *(f"{max(column):.1e}" for column in zip(*found, strict=True)))


if __name__ == "__main__":
    main()

"""Measures the rounding error of Winograd's algorithm in float32 over the shapes that nets use.

    python benchmarks/winograd_error.py

Images, kernels and gradients are random normal numbers. An error is the largest difference from
float64, divided by the standard deviation of the exact values.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests" / "ops")]
import reference_convolution as exact  # noqa: E402

from cnn_jax.ops import winograd  # noqa: E402

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


def errors(batch: int, side: int, channels: int, filters: int) -> tuple[float, float, float]:
    """The errors of the output, and of the gradients of image and kernel."""
    random = np.random.default_rng(0)
    image = random.standard_normal((batch, side, side, channels)).astype(np.float32)
    kernel = random.standard_normal((3, 3, channels, filters)).astype(np.float32)
    gradient = random.standard_normal((batch, side, side, filters)).astype(np.float32)
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    got = (
        jax.jit(lambda i, k: winograd.convolve(i, k, PADDING))(image, kernel),
        jax.jit(lambda g, k: winograd.convolve(g, k, PADDING))(gradient, flipped),
        jax.jit(lambda i, g: winograd.kernel_gradient(i, g, 3, PADDING))(image, gradient),
    )
    of_image, of_kernel = exact.gradients(image, kernel, gradient, (1, 1), PADDING)
    wanted = exact.convolution(image, kernel, (1, 1), PADDING), of_image, of_kernel
    forward, to_image, to_kernel = (exact.error(*pair) for pair in zip(got, wanted, strict=True))
    return forward, to_image, to_kernel


def main() -> None:
    """Prints the errors of each shape, and the largest."""
    print("batch side channels filters: forward, image's gradient, kernel's gradient")
    found = []
    for shape in SHAPES:
        found.append(errors(*shape))
        print(*shape, *(f"{error:.1e}" for error in found[-1]), flush=True)
    print("largest", *(f"{max(column):.1e}" for column in zip(*found, strict=True)))


if __name__ == "__main__":
    main()

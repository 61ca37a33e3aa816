"""Milliseconds of convolutions and their gradients in each form, on this machine.

    python benchmarks/convolutions.py [--batch_size=500] [--dtype=float32] [--repeats=7]
    python benchmarks/convolutions.py --layers=others --forms=fast,onednn --batch_size=64

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
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.runtime import malloc

NUMBERS = ("NHWC", "HWIO", "NHWC")
NONE, ONE = ((0, 0), (0, 0)), ((1, 1), (1, 1))


class Layer(NamedTuple):
    """Side and depth of the image, side and padding of the window, filters, stride and groups."""

    side: int
    depth: int
    window: int
    padding: tuple[tuple[int, int], tuple[int, int]]
    filters: int
    stride: int = 1
    groups: int = 1


LAYERS = {
    # airbench94's 3x3 layers, without what the pools drop
    "airbench": (
        Layer(31, 24, 3, ((1, 0), (1, 0)), 64),
        Layer(15, 64, 3, ONE, 64),
        Layer(15, 64, 3, ((1, 0), (1, 0)), 256),
        Layer(7, 256, 3, ONE, 256),
        Layer(7, 256, 3, ((1, 0), (1, 0)), 256),
        Layer(3, 256, 3, ONE, 256),
    ),
    # of ResNet-50
    "pointwise": (
        Layer(32, 64, 1, NONE, 256),
        Layer(16, 512, 1, NONE, 128),
        Layer(8, 1024, 1, NONE, 256),
        Layer(4, 2048, 1, NONE, 512),
    ),
    # of most nets, ResNet-20, ResNet-18, ResNeXt-29, MobileNetV2 and ConvMixer-256/8
    "others": (
        Layer(32, 3, 3, ONE, 64),
        Layer(32, 16, 3, ONE, 16),
        Layer(32, 64, 3, ONE, 128, stride=2),
        Layer(32, 128, 1, NONE, 256),
        Layer(32, 256, 3, ONE, 256, stride=2, groups=2),
        Layer(32, 128, 3, ONE, 128, groups=32),
        Layer(32, 144, 3, ONE, 144, groups=144),
        Layer(16, 192, 3, ONE, 192, stride=2, groups=192),
        Layer(32, 256, 9, ((4, 4), (4, 4)), 256, groups=256),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch_size", type=int, default=500)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--layers", default="airbench,pointwise", help=f"Of {', '.join(LAYERS)}")
    parser.add_argument("--forms", default="stock,fast", help="Of stock, fast, onednn")
    flags = parser.parse_args()
    forms = flags.forms.split(",")
    print(
        f"jax {jax.__version__}, batch {flags.batch_size}, {flags.dtype}; ms, {' / '.join(forms)}"
    )
    print(f"{'image -> filters':<44}{'forward':>16}{'dImage':>16}{'dKernel':>16}")
    for layer in (layer for name in flags.layers.split(",") for layer in LAYERS[name]):
        random = np.random.default_rng(0)
        image, kernel = (
            jnp.asarray(random.standard_normal(shape), flags.dtype)
            for shape in (
                (flags.batch_size, layer.side, layer.side, layer.depth),
                (layer.window, layer.window, layer.depth // layer.groups, layer.filters),
            )
        )
        columns = zip(
            *(_times(form, image, kernel, layer, flags.repeats) for form in forms), strict=True
        )
        print(
            f"{_name(layer):<44}"
            + "".join(" / ".join(f"{time:.1f}" for time in times).rjust(16) for times in columns),
            flush=True,
        )


def _name(layer: Layer) -> str:
    name = f"{layer.side}x{layer.side}x{layer.depth} -> {layer.filters}, "
    name += f"{layer.window}x{layer.window}"
    if layer.stride > 1:
        name += f", stride {layer.stride}"
    return name + (f", {layer.groups} groups" if layer.groups > 1 else "")


def _times(form: str, image, kernel, layer: Layer, repeats: int) -> list[float]:
    """Milliseconds of the forward pass, of the image's gradient and of the kernel's."""

    def convolve(image, kernel):
        with ops.form(form):
            return ops.conv_general_dilated(
                image,
                kernel,
                (layer.stride, layer.stride),
                layer.padding,
                dimension_numbers=NUMBERS,
                feature_group_count=layer.groups,
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

"""Which form of a convolution is lowered for which platform."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import pytest

from cnn_jax import ops

# Channels of the image, kernel, groups; how often it is a convolution on a CPU, and whether it
# works on a few images at a time there.
FORMS = {
    "narrow": (4, (3, 3, 4, 6), 1, 3, True),
    "one pixel": (4, (1, 1, 4, 6), 1, 0, False),
    "Winograd": (32, (3, 3, 32, 32), 1, 0, True),
    "Winograd for the kernel": (20, (3, 3, 20, 20), 1, 2, True),
    "depthwise": (8, (3, 3, 1, 16), 8, 0, True),
    "groups": (8, (3, 3, 4, 6), 2, 0, True),
    "groups, Winograd": (64, (3, 3, 32, 64), 2, 0, True),
    "groups, Winograd for the kernel": (40, (3, 3, 20, 40), 2, 0, True),
}


def lowered(
    platform: str, channels: int, kernel: tuple[int, ...], groups: int, dtype, side: int = 9
) -> str:
    """The program of the output and both gradients of 512 images."""

    def loss(image, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        options = {"dimension_numbers": numbers, "feature_group_count": groups}
        return jnp.sum(ops.conv_general_dilated(image, kernel, (1, 1), "SAME", **options) ** 2)

    shapes = (
        jax.ShapeDtypeStruct((512, side, side, channels), dtype),
        jax.ShapeDtypeStruct(kernel, dtype),
    )
    program = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).trace(*shapes)
    return program.lower(lowering_platforms=(platform,)).as_text()


def count(operation: str, text: str) -> int:
    return len(re.findall(rf"\bstablehlo\.{operation}\b", text))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_elsewhere_it_is_the_librarys_convolution(platform, form, dtype):
    text = lowered(platform, *FORMS[form][:3], dtype)
    assert count("convolution", text) == 3
    assert count("while|dot_general|dynamic_slice", text) == 0


@pytest.mark.parametrize("form", FORMS)
def test_the_form_on_a_cpu(form):
    *options, convolutions, in_chunks = FORMS[form]
    text = lowered("cpu", *options, jnp.float32)
    assert count("convolution", text) == convolutions
    assert (count("while", text) > 0) == in_chunks
    assert count("gather|scatter|reduce_window|select_and_scatter", text) == 0


def test_a_chunk_of_the_kernels_gradient_fits_a_cores_cache():
    """An image of 20 x 20 x 4 float32 and its gradient, 20 x 20 x 6, have 16,000 bytes.

    2 MiB hold 131 of them; 128 divides the 512.
    """
    text = lowered("cpu", 4, (3, 3, 4, 6), 1, jnp.float32, side=20)
    assert "tensor<20x20x128x6xf32>" in text

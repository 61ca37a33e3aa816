from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_convolution
from jax import lax

from cnn_jax import ops
from cnn_jax.ops import grouped

NUMBERS = ("NHWC", "HWIO", "NHWC")
ONE = (1, 1)
# Batch, image, sides and filters of the kernel, groups, strides, padding.
CASES = {
    "depthwise": (5, (7, 6, 4), (3, 3, 4), 4, ONE, ((1, 1), (1, 1))),
    "depthwise, 2 filters each": (4, (9, 8, 3), (3, 2, 6), 3, (2, 1), ((2, 0), (-1, 3))),
    "depthwise, even stride": (3, (8, 7, 4), (3, 3, 4), 4, (2, 2), ((0, 1), (1, 1))),
    "depthwise, wide": (2, (6, 9, 2), (9, 5, 4), 2, (3, 2), ((4, 4), (2, 2))),
    "groups": (5, (7, 6, 6), (3, 3, 4), 2, ONE, ((1, 1), (1, 1))),
    "groups, strides": (3, (9, 8, 6), (3, 5, 9), 3, (2, 3), ((-1, 2), (1, 3))),
    "groups of 1x1": (4, (7, 9, 6), (1, 1, 9), 3, (2, 1), ((0, 0), (0, 0))),
    "groups, Winograd": (2, (7, 6, 64), (3, 3, 66), 2, ONE, ((2, 0), (1, 1))),
}


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def value_and_gradients(convolve, image, kernel, groups, strides, padding):
    """The convolution's output, and the gradients of its product with fixed noise."""

    def weighted(image, kernel):
        options = {"dimension_numbers": NUMBERS, "feature_group_count": groups}
        out = convolve(image, kernel, strides, padding, **options)
        return jnp.vdot(out, jnp.asarray(draw(*out.shape), out.dtype)), out

    run = jax.value_and_grad(weighted, argnums=(0, 1), has_aux=True)
    (_, out), gradients = jax.jit(run)(image, kernel)
    return out, *gradients


@pytest.fixture(autouse=True)
def two_images_a_chunk(monkeypatch):
    monkeypatch.setattr(grouped, "_images", lambda *_: 2)
    monkeypatch.setattr(grouped, "_patch_chunk", lambda *_: 2)


@pytest.mark.parametrize(
    ("dtype", "case", "tolerance"),
    [(jnp.float32, case, 1e-5) for case in CASES]
    + [(jnp.bfloat16, case, 2e-2) for case in ("depthwise, 2 filters each", "groups, strides")],
)
def test_values_and_gradients_are_the_definition(dtype, case, tolerance):
    batch, image, (*size, filters), groups, *places = CASES[case]
    kernel = jnp.asarray(draw(*size, image[-1] // groups, filters), dtype)
    image = jnp.asarray(draw(batch, *image), dtype)
    got = value_and_gradients(ops.conv_general_dilated, image, kernel, groups, *places)
    out = reference_convolution.convolution(image, kernel, *places, groups)
    noise = jnp.asarray(draw(*out.shape), dtype)
    expected = out, *reference_convolution.gradients(image, kernel, noise, *places, groups)
    for mine, true in zip(got, expected, strict=True):
        assert mine.dtype == dtype
        assert mine.shape == true.shape
        assert reference_convolution.error(mine, true) < tolerance


@pytest.mark.parametrize("case", ["depthwise, 2 filters each", "groups, strides"])
def test_values_and_gradients_are_those_of_lax(case):
    batch, image, (*size, filters), *options = CASES[case]
    image, kernel = draw(batch, *image), draw(*size, image[-1] // options[0], filters)
    got = value_and_gradients(ops.conv_general_dilated, image, kernel, *options)
    expected = value_and_gradients(lax.conv_general_dilated, image, kernel, *options)
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("limit", ["IMAGE_BYTES", "PATCH_BYTES"])
def test_an_image_above_the_limit_is_a_chunk(monkeypatch, limit):
    monkeypatch.undo()
    monkeypatch.setattr(grouped, limit, 1)
    image = jax.ShapeDtypeStruct((3, 9, 9, 4), jnp.float32)
    pads = ((1, 1), (1, 1))
    for form in (
        lambda x: grouped.depthwise(x, draw(3, 3, 1, 8), ONE, pads),
        lambda x: grouped.convolve(x, draw(3, 3, 2, 8), 2, ONE, pads),
    ):
        assert jax.eval_shape(form, image).shape == (3, 9, 9, 8)

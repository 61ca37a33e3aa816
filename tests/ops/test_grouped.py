from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_convolution
from jax import lax

from cnn_jax import ops
from cnn_jax.ops import depthwise, grouped, pointwise, xla

NUMBERS = ("NHWC", "HWIO", "NHWC")
ONE = (1, 1)
# Batch, image, sides and filters of the kernel, groups, strides, padding.
CASES = {
    "depthwise": (5, (7, 6, 4), (3, 3, 4), 4, ONE, ((1, 1), (1, 1))),
    "depthwise, 2 filters each": (4, (9, 8, 3), (3, 2, 6), 3, (2, 1), ((2, 0), (-1, 3))),
    "depthwise, even stride": (3, (8, 7, 4), (3, 3, 4), 4, (2, 2), ((0, 1), (1, 1))),
    "depthwise, 11 rows": (2, (11, 5, 3), (3, 3, 3), 3, ONE, ((1, 1), (1, 1))),
    "depthwise, 11 of 22 rows": (2, (22, 7, 3), (3, 3, 3), 3, (2, 2), ((1, 0), (1, 1))),
    "depthwise, wide": (2, (6, 9, 2), (9, 5, 4), 2, (3, 2), ((4, 4), (2, 2))),
    "groups": (5, (7, 6, 6), (3, 3, 4), 2, ONE, ((1, 1), (1, 1))),
    "groups, strides": (3, (9, 8, 6), (3, 5, 9), 3, (2, 3), ((-1, 2), (1, 3))),
    "groups of 1x1": (4, (7, 9, 6), (1, 1, 9), 3, (2, 1), ((0, 0), (0, 0))),
    "wide groups, strides": (3, (9, 8, 64), (3, 5, 66), 2, (2, 3), ((-1, 2), (1, 3))),
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
    monkeypatch.setattr(depthwise, "_chunk", lambda *_: 2)
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


@pytest.mark.parametrize(
    ("module", "limit", "groups"), [(depthwise, "CHUNK_BYTES", 4), (grouped, "PATCH_BYTES", 2)]
)
def test_an_image_above_the_limit_is_a_chunk(monkeypatch, module, limit, groups):
    monkeypatch.undo()
    monkeypatch.setattr(module, limit, 1)
    image, kernel = draw(3, 9, 9, 4), draw(5, 3, 4 // groups, 8)
    options = groups, ONE, ((2, 2), (1, 1))
    out, *_ = value_and_gradients(ops.conv_general_dilated, image, kernel, *options)
    np.testing.assert_allclose(
        out, reference_convolution.convolution(image, kernel, *options[1:], groups), atol=1e-4
    )


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("depthwise")])
def test_the_form_of_the_other_xla_is_the_definition_too(monkeypatch, case):
    """Which form is the faster one depends on the version; both must be right in each."""
    new = depthwise.MOST_PADDED > 0
    monkeypatch.setattr(xla, "NEW", not new)
    monkeypatch.setattr(depthwise, "MOST_PADDED", 0 if new else 9)
    test_values_and_gradients_are_the_definition(jnp.float32, case, 1e-5)


@pytest.mark.parametrize(("rows", "channels", "filters"), [(60, 3, 5), (60, 5, 3), (61, 3, 5)])
def test_sums_in_parts_are_a_matrix_product(monkeypatch, rows, channels, filters):
    monkeypatch.setattr(pointwise, "PARTS", 2)
    left, right = draw(rows, channels), draw(rows, filters)
    got = pointwise.sum_of_products(left, right)
    np.testing.assert_allclose(got, left.astype(float).T @ right, rtol=1e-4, atol=1e-5)

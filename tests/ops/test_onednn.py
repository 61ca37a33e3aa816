from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import onednn_library
import pytest
import reference_convolution
from jax.sharding import PartitionSpec
from test_grouped import CASES as GROUPED
from test_grouped import value_and_gradients

from cnn_jax import ops
from cnn_jax.native import library

ONE = (1, 1)
# Batch, image, sides and filters of the kernel, groups, strides, padding.
CASES = GROUPED | {
    "three channels": (3, (9, 8, 3), (3, 3, 16), 1, ONE, ((1, 1), (1, 1))),
    "unseen row and column": (3, (8, 6, 5), (1, 1, 7), 1, (3, 2), ((0, 0), (0, 0))),
    "strides": (2, (9, 8, 16), (5, 3, 24), 1, (3, 2), ((2, 0), (1, 2))),
    "one pixel": (5, (1, 1, 20), (1, 1, 7), 1, ONE, ((0, 0), (0, 0))),
    "depthwise, two filters each": (2, (9, 8, 5), (3, 3, 10), 5, ONE, ((1, 1), (1, 1))),
    "depthwise, 7x7": (2, (9, 9, 16), (7, 7, 16), 16, ONE, ((3, 3), (3, 3))),
}
NOT_TAKEN = [name for name, case in CASES.items() if min(sum(case[-1], ())) < 0]


@pytest.fixture(scope="module", autouse=True)
def installed():
    onednn_library.needed()


def draw(*shape: int, dtype=jnp.float32) -> jax.Array:
    return jnp.array(np.random.default_rng(len(shape)).standard_normal(shape), dtype)


def operands(case: str, dtype=jnp.float32):
    batch, image, (*size, filters), groups, *places = CASES[case]
    arrays = draw(batch, *image), draw(*size, image[-1] // groups, filters)
    return *(array.astype(dtype) for array in arrays), groups, *places


def calls(function, *arrays) -> list[str]:
    """The lines of the lowered function that call a convolution of oneDNN."""
    lines = jax.jit(function).lower(*arrays).as_text().splitlines()
    return [line for line in lines if f"@{library.CONVOLVE}(" in line]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 2e-2)], ids=["f32", "bf16"]
)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_the_definition(case, dtype, tolerance):
    image, kernel, groups, *places = operands(case, dtype)
    with ops.form("onednn"):
        got = value_and_gradients(ops.conv_general_dilated, image, kernel, groups, *places)
    out = reference_convolution.convolution(image, kernel, *places, groups)
    noise = np.random.default_rng(4).standard_normal(out.shape).astype(np.float32)
    noise = np.asarray(jnp.asarray(noise, dtype))
    gradients = reference_convolution.gradients(image, kernel, noise, *places, groups)
    for mine, true in zip(got, (out, *gradients), strict=True):
        assert mine.dtype == dtype and mine.shape == true.shape
        assert reference_convolution.error(mine, true) < tolerance


@pytest.mark.parametrize(
    ("case", "count"),
    [
        *((name, 0) for name in NOT_TAKEN),
        ("strides", 3),
        ("groups", 3),
        ("depthwise", 3),
        ("depthwise, 7x7", 2),  # this package's kernel gradient is faster
        ("groups, Winograd", 0),
    ],
)
def test_onednn_computes_what_it_is_faster_at(case, count):
    image, kernel, groups, *places = operands(case)

    def gradients(image, kernel):
        return value_and_gradients(ops.conv_general_dilated, image, kernel, groups, *places)

    assert not calls(lambda *a: gradients(*a), image, kernel)
    with ops.form("onednn"):
        assert len(calls(gradients, image, kernel)) == count


# oneDNN has no vectorised bfloat16 form of the others, and takes up to a hundred times as long.
@pytest.mark.parametrize(
    ("case", "count"),
    [
        ("strides", 3),
        ("depthwise", 3),
        ("depthwise, even stride", 2),
        ("depthwise, two filters each", 0),
    ],
)
def test_what_onednn_computes_in_half_precision(case, count):
    image, kernel, groups, *places = operands(case, jnp.bfloat16)

    def gradients(image, kernel):
        return value_and_gradients(ops.conv_general_dilated, image, kernel, groups, *places)

    with ops.form("onednn"):
        found = calls(gradients, image, kernel)
    if not library.load().CnnJaxHasBfloat16():
        assert not found
    else:
        assert len(found) == 3
        assert sum("bf16" in line.split("} : ")[-1].split("->")[0] for line in found) == count


@pytest.mark.parametrize(("dtype", "count"), [(jnp.float32, 1), (jnp.float16, 0)])
def test_in_a_layer_of_flax_but_not_in_float16(dtype, count):
    layer = nn.Conv(4, (3, 3), dtype=dtype, conv_general_dilated=ops.conv_general_dilated)
    image = draw(2, 5, 5, 3, dtype=dtype)
    params = {"params": {"kernel": draw(3, 3, 3, 4, dtype=dtype), "bias": draw(4)}}
    with ops.form("onednn"):
        assert len(calls(layer.apply, params, image)) == count


def test_examples_one_by_one_are_those_of_a_batch():
    image, kernel, groups, *places = operands("strides")
    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": groups}

    def convolve(image):
        return ops.conv_general_dilated(image, kernel, *places, **options)

    with ops.form("onednn"):
        alone = jax.jit(jax.vmap(convolve))(image[:, None])
        together = jax.jit(convolve)(image)
    np.testing.assert_allclose(alone[:, 0], together, rtol=1e-5, atol=1e-5)


def test_the_same_bits_each_time_and_on_each_of_two_devices():
    image, kernel, groups, *places = operands("strides")

    def gradients(image, kernel):
        return value_and_gradients(ops.conv_general_dilated, image, kernel, groups, *places)[2]

    mesh = jax.make_mesh((2,), ("device",), axis_types=(jax.sharding.AxisType.Auto,))
    sides = PartitionSpec("device"), PartitionSpec()
    with ops.form("onednn"):
        alone = jax.jit(gradients)
        first, again = alone(image, kernel), alone(image, kernel)
        split = jax.shard_map(
            lambda i, k: gradients(i[0], k)[None],
            mesh=mesh,
            in_specs=sides,
            out_specs=sides[0],
            check_vma=False,
        )
        both = jax.jit(split)(jnp.stack([image, image]), kernel)
    assert (first == again).all() and (both == first).all()


def test_it_is_not_needed_on_other_processors(monkeypatch):
    image, kernel, groups, *places = operands("groups")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(library, "load", None)
    with ops.form("onednn"):
        value_and_gradients(ops.conv_general_dilated, image, kernel, groups, *places)

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import onednn_library
import pytest
import reference_convolution
from jax.sharding import PartitionSpec
from test_grouped import value_and_gradients

from cnn_jax import ops
from cnn_jax.native import library

ONE, SAME = (1, 1), ((1, 1), (1, 1))
# Batch, image, filters, groups, padding.
CASES = {
    "tiles of 4": (3, (8, 8, 32), 48, 1, SAME),
    "tiles of 3": (5, (6, 3, 24), 33, 1, SAME),
    "tiles of 2": (4, (2, 6, 32), 32, 1, SAME),
    "no padding": (2, (9, 7, 40), 24, 1, ((0, 0), (0, 0))),
    "padding on one side": (2, (7, 10, 64), 70, 1, ((1, 0), (0, 2))),
    "more padding than image": (2, (1, 3, 28), 28, 1, ((0, 2), (1, 2))),
    "one output": (3, (3, 3, 23), 37, 1, ((0, 0), (0, 0))),
    "an odd number of channels": (3, (5, 5, 25), 130, 1, SAME),
    "few tiles of many filters": (2, (4, 4, 64), 330, 1, SAME),
    "many tiles": (65, (9, 9, 30), 26, 1, SAME),
    "many blocks of tiles": (100, (17, 18, 128), 16, 1, SAME),
    "groups": (3, (7, 6, 92), 102, 2, ((2, 0), (1, 1))),
    "blocks of tiles and of filters": (12, (17, 18, 136), 130, 1, SAME),
}


@pytest.fixture(scope="module", autouse=True)
def installed():
    onednn_library.needed()
    if not library.load().CnnJaxHasAvx512():
        pytest.skip("this processor has no AVX-512")


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def operands(case: str, dtype=jnp.float32) -> tuple[jax.Array, jax.Array]:
    batch, image, filters, groups, _ = CASES[case]
    arrays = draw(batch, *image), draw(3, 3, image[-1] // groups, filters)
    return jnp.asarray(arrays[0], dtype), jnp.asarray(arrays[1], dtype)


def values(image, kernel, padding, strides=ONE, groups=1):
    return value_and_gradients(ops.conv_general_dilated, image, kernel, groups, strides, padding)


def calls(name: str, *arguments) -> int:
    """How often the operation is called for a convolution and its gradients."""
    image, kernel, *rest = arguments
    lowered = jax.jit(lambda i, k: values(i, k, *rest)).lower(image, kernel)
    return lowered.as_text().count(f"@{name}(")


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float32, 4e-5), (jnp.bfloat16, 4e-2)], ids=["f32", "bf16"]
)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_the_definition(case, dtype, tolerance):
    if dtype == jnp.bfloat16 and not library.load().CnnJaxHasBfloat16():
        pytest.skip("this processor has no instructions for bfloat16")
    (image, kernel), (*_, groups, padding) = operands(case, dtype), CASES[case]
    arguments = image, kernel, padding, ONE, groups
    with ops.form("onednn"):
        # The image's gradient is a convolution, too.
        assert calls(library.WINOGRAD, *arguments) == 2
        assert calls(library.WINOGRAD_GRADIENT, *arguments) == 1
        got = values(*arguments)
    out = reference_convolution.convolution(image, kernel, ONE, padding, groups)
    noise = np.asarray(jnp.asarray(draw(*out.shape), dtype))
    gradients = reference_convolution.gradients(image, kernel, noise, ONE, padding, groups)
    for mine, true in zip(got, (out, *gradients), strict=True):
        assert mine.dtype == dtype and mine.shape == true.shape
        assert reference_convolution.error(mine, true) < tolerance


@pytest.mark.parametrize(
    ("side", "channels", "filters", "strides", "groups"),
    [
        (3, 16, 16, ONE, 1),  # too few products for each value
        (5, 64, 64, ONE, 1),
        (3, 64, 64, (2, 2), 1),
        (3, 64, 64, ONE, 8),
    ],
)
def test_other_convolutions_are_not_its(side, channels, filters, strides, groups):
    image, kernel = draw(2, 8, 8, channels), draw(side, side, channels // groups, filters)
    with ops.form("onednn"):
        assert calls(library.WINOGRAD, image, kernel, SAME, strides, groups) == 0


def test_it_is_only_for_those_who_ask_for_onednn():
    assert calls(library.WINOGRAD, *operands("tiles of 4"), SAME) == 0


def test_without_avx512_xla_has_the_algorithm(monkeypatch):
    class Older:
        CnnJaxHasAvx512 = CnnJaxHasBfloat16 = staticmethod(lambda: 0)

    image, kernel = draw(2, 8, 8, 64), draw(3, 3, 64, 64)
    monkeypatch.setattr(library, "load", lambda: Older)
    with ops.form("onednn"):
        assert calls(library.WINOGRAD, image, kernel, SAME) == 0
        got = values(image, kernel, SAME)
    expected = values(image, kernel, SAME)
    for mine, plain in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine, plain)


def test_the_same_bits_each_time_and_on_each_of_two_devices():
    (image, kernel), padding = operands("many tiles"), CASES["many tiles"][-1]
    mesh = jax.make_mesh((2,), ("device",), axis_types=(jax.sharding.AxisType.Auto,))
    sides = PartitionSpec("device"), PartitionSpec()
    with ops.form("onednn"):
        alone = jax.jit(lambda i, k: values(i, k, padding))
        first, again = alone(image, kernel), alone(image, kernel)
        split = jax.shard_map(
            lambda i, k: [part[None] for part in values(i[0], k, padding)],
            mesh=mesh,
            in_specs=sides,
            out_specs=sides[0],
            check_vma=False,
        )
        both = jax.jit(split)(jnp.stack([image, image]), kernel)
    for one, other, pair in zip(first, again, both, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(pair, jnp.stack([one, one]))


def test_it_ends_when_many_programs_run_at_once():
    (image, kernel), padding = operands("many blocks of tiles"), CASES["many blocks of tiles"][-1]
    with ops.form("onednn"):
        run = jax.jit(lambda i, k: values(i, k, padding))
        expected = run(image, kernel)
        results = [run(image, kernel) for _ in range(8)]
    for result in results:
        for mine, one in zip(result, expected, strict=True):
            np.testing.assert_array_equal(mine, one)

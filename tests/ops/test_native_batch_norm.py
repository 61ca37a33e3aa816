from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import onednn_library
import pytest
from jax.sharding import PartitionSpec

from cnn_jax import ops
from cnn_jax.native import library

EPSILON = 1e-3
# C++ works on blocks of 64 rows, parts of 65,536 values in float32 (131,072 in bfloat16), but at
# least of a block, and on up to 64 channels at once, in one to four vectors.
SHAPES = [
    (1, 1),
    (64, 1),
    (65, 3),
    (7, 5, 4, 16),
    (3, 17),
    (130, 40),
    (300, 64),
    (4100, 65),
    (70, 112),
    (9, 9, 9, 200),
    (130, 2100),
]


@pytest.fixture(scope="module", autouse=True)
def installed():
    onednn_library.needed()
    if not library.load().CnnJaxHasAvx512():
        pytest.skip("this processor has no AVX-512")


def draw(shape, dtype=jnp.float32) -> list[jax.Array]:
    """A volume and a gradient of the result of this dtype, and between them a scale and a bias."""
    random, depth = np.random.default_rng(len(shape)), shape[-1]
    x = random.standard_normal(shape) * random.uniform(0.5, 3, depth) + random.normal(size=depth)
    scale, bias = (jnp.asarray(random.standard_normal(depth), jnp.float32) for _ in range(2))
    of_y = random.standard_normal(shape)
    return [jnp.asarray(x, dtype), scale, bias, jnp.asarray(of_y, dtype)]


def normalised(x, scale, bias, of_y):
    """The result with its moments, and the gradients of x, scale and bias."""
    y, pullback = jax.vjp(lambda *arrays: ops.batch_norm(*arrays, EPSILON), x, scale, bias)
    return *y, *pullback((of_y, jnp.zeros_like(y[1]), jnp.zeros_like(y[2])))


def definition(x, scale, bias, of_y):
    """The same in double precision (Ioffe and Szegedy 2015, section 3)."""
    x, scale, bias, of_y = (np.asarray(array, np.float64) for array in (x, scale, bias, of_y))
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    deviation = np.sqrt(variance + EPSILON)
    hat = (x - mean) / deviation
    of_hat = of_y * scale
    of_x = (of_hat - of_hat.mean(axes) - hat * (of_hat * hat).mean(axes)) / deviation
    return hat * scale + bias, mean, variance, of_x, (of_y * hat).sum(axes), of_y.sum(axes)


def program(arrays, **options) -> str:
    return jax.jit(lambda *a: normalised(*a)).trace(*arrays).lower(**options).as_text()


def calls(text: str) -> list[int]:
    return [text.count(f"@{name}(") for name in (library.MOMENTS, library.NORM_GRADIENTS)]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["f32", "bf16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_the_definition(shape, dtype):
    arrays = draw(shape, dtype)
    with ops.form("onednn"):
        assert calls(program(arrays)) == [1, 1]
        got = jax.jit(normalised)(*arrays)
    for mine, true in zip(got, definition(*arrays), strict=True):
        assert mine.shape == true.shape
        assert mine.dtype == (dtype if mine.shape == shape else jnp.float32)  # sums are float32
        tolerance = 1e-5 if mine.dtype == jnp.float32 else 1e-2
        np.testing.assert_allclose(
            np.asarray(mine, np.float64), true, rtol=0, atol=tolerance * max(1, abs(true).max())
        )


def test_the_gradient_has_the_form_of_the_result():
    """Also where it is traced outside the block."""
    x, scale, bias, of_y = draw((40, 7))

    def gradient(inside: str, outside: str) -> list[int]:
        def traced(*arrays):
            with ops.form(inside):
                _, pullback = jax.vjp(lambda *a: ops.batch_norm(*a, EPSILON)[0], *arrays)
            with ops.form(outside):
                return pullback(of_y)

        return calls(jax.jit(traced).lower(x, scale, bias).as_text())

    assert gradient("onednn", "fast") == [1, 1]
    assert gradient("fast", "onednn") == [0, 0]


def test_many_small_values_are_not_lost_in_a_large_sum():
    """A running sum of 2^25 ones in float32 stops at 2^24."""
    x = jnp.ones((2**25, 1), jnp.bfloat16)
    with ops.form("onednn"):
        mean, variance = jax.jit(ops.moments)(x)
    assert (mean[0], variance[0]) == (1, 0)


def test_what_is_not_finite_is_seen():
    x = jnp.ones((8, 3)).at[2, 1].set(jnp.nan)
    with ops.form("onednn"):
        found = jax.jit(lambda x: ops.moments(x))(x)
    for values in found:
        np.testing.assert_array_equal(jnp.isnan(values), [False, True, False])


@pytest.mark.parametrize(
    ("shape", "dtype"), [((4, 3), jnp.float16), ((0, 3), jnp.float32), ((4, 0), jnp.float32)]
)
def test_others_are_xlas(shape, dtype):
    with ops.form("onednn"):
        text = jax.jit(lambda x: ops.moments(x)).lower(jnp.zeros(shape, dtype)).as_text()
    assert calls(text) == [0, 0]


def test_it_is_only_for_those_who_ask_for_it_and_on_a_cpu():
    arrays = draw((40, 7))
    assert calls(program(arrays)) == [0, 0]
    with ops.form("onednn"):
        assert calls(program(arrays, lowering_platforms=("tpu",))) == [0, 0]


def test_it_is_not_needed_on_other_processors(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(library, "load", None)
    with ops.form("onednn"):
        assert calls(program(draw((40, 7)))) == [0, 0]


def test_without_avx512_it_is_xlas(monkeypatch):
    class Older:
        CnnJaxHasAvx512 = staticmethod(lambda: 0)

    monkeypatch.setattr(library, "load", lambda: Older)
    with ops.form("onednn"):
        assert calls(program(draw((40, 7)))) == [0, 0]


def test_examples_one_by_one_are_those_alone():
    x = draw((3, 40, 7))[0]
    with ops.form("onednn"):
        together = jax.jit(jax.vmap(ops.moments))(x)
        alone = [jax.jit(ops.moments)(each) for each in x]
    for place, moments in enumerate(alone):
        for mine, one in zip(together, moments, strict=True):
            np.testing.assert_array_equal(mine[place], one)


def test_many_programs_at_once_have_the_same_bits():
    arrays = draw((4100, 65))
    with ops.form("onednn"):
        run = jax.jit(lambda *a: normalised(*a))
        expected = run(*arrays)
        results = [run(*arrays) for _ in range(16)]
    for result in results:
        for mine, one in zip(result, expected, strict=True):
            np.testing.assert_array_equal(mine, one)


def test_the_same_bits_each_time_and_on_each_of_two_devices():
    x, scale, bias, of_y = draw((4100, 65))
    mesh = jax.make_mesh((2,), ("device",), axis_types=(jax.sharding.AxisType.Auto,))
    split = PartitionSpec("device")

    def each(x, of_y):
        return [result[None] for result in normalised(x[0], scale, bias, of_y[0])]

    with ops.form("onednn"):
        alone = jax.jit(lambda x, of_y: normalised(x, scale, bias, of_y))
        first, again = alone(x, of_y), alone(x, of_y)
        on_each = jax.shard_map(each, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
        both = jax.jit(on_each)(jnp.stack([x, x]), jnp.stack([of_y, of_y]))
    for one, other, pair in zip(first, again, both, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(pair, jnp.stack([one, one]))

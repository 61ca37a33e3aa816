from __future__ import annotations

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_convolution
from jax import lax

from cnn_jax import ops
from cnn_jax.models import ConvNet
from cnn_jax.ops import convolution, strided

NUMBERS = ("NHWC", "HWIO", "NHWC")
ONE = (1, 1)
# Batch, image, kernel, strides, padding.
CASES = [
    (2, (5, 7, 3), (3, 3, 4), ONE, "SAME"),
    (7, (8, 6, 2), (3, 3, 3), (2, 2), "SAME"),
    (19, (9, 9, 2), (3, 3, 3), (2, 2), ((1, 1), (1, 1))),
    (33, (6, 5, 1), (2, 2, 2), ONE, "VALID"),
    (48, (11, 10, 2), (4, 4, 3), (2, 2), "VALID"),
    (16, (7, 7, 3), (1, 1, 2), (2, 2), "SAME"),
    (5, (6, 7, 4), (1, 1, 3), ONE, "SAME"),
    (4, (6, 8, 2), (1, 1, 5), (3, 2), "VALID"),
    (3, (5, 4, 2), (1, 1, 3), ONE, ((1, 0), (0, 2))),
    (17, (6, 7, 2), (5, 5, 3), ONE, "SAME"),
    (20, (9, 8, 2), (5, 3, 3), (3, 2), ((2, 0), (1, 3))),
    (4, (4, 4, 2), (2, 3, 3), (1, 2), ((0, 1), (3, 2))),
    (3, (5, 5, 2), (3, 3, 1), ONE, ((4, 3), (0, 4))),
    (5, (9, 8, 2), (2, 2, 3), (3, 4), ((1, 0), (0, 1))),
]
# Wide enough for Winograd's form, the first only for the kernel's gradient.
WIDE_CASES = [
    (3, (7, 6, 20), (3, 3, 18), ONE, ((0, 2), (1, 1))),
    (3, (6, 5, 36), (3, 3, 32), ONE, ((2, 0), (-1, 3))),
    (2, (8, 6, 32), (5, 5, 32), ONE, "SAME"),
]


def draw(*shape: int) -> jax.Array:
    return jnp.array(np.random.default_rng(len(shape)).standard_normal(shape), jnp.float32)


def value_and_gradients(convolve, image, kernel, strides, padding, **options):
    """The convolution's output, and the gradients of its product with fixed noise."""

    def weighted(image, kernel):
        out = convolve(image, kernel, strides, padding, dimension_numbers=NUMBERS, **options)
        return jnp.vdot(out, draw(*out.shape)), out

    run = jax.value_and_grad(weighted, argnums=(0, 1), has_aux=True)
    (_, out), gradients = jax.jit(run)(image, kernel)
    return out, *gradients


@pytest.mark.parametrize(("batch", "image", "kernel", "strides", "padding"), CASES + WIDE_CASES)
def test_values_and_gradients_are_those_of_lax(monkeypatch, batch, image, kernel, strides, padding):
    for module in (convolution, strided):
        monkeypatch.setattr(module, "CHUNK_BYTES", 8000)  # some batches in chunks and a rest
    image, kernel = draw(batch, *image), draw(*kernel[:2], image[-1], kernel[2])
    got = value_and_gradients(ops.conv_general_dilated, image, kernel, strides, padding)
    expected = value_and_gradients(lax.conv_general_dilated, image, kernel, strides, padding)
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "tolerance", "channels"),
    [(jnp.float32, 1e-5, 2), (jnp.float32, 2e-5, 32), (jnp.bfloat16, 5e-2, 32)],
    ids=["plain", "Winograd", "Winograd in bfloat16"],
)
def test_values_and_gradients_are_the_definition(dtype, tolerance, channels):
    image, kernel = (draw(*s).astype(dtype) for s in ((3, 9, 8, channels), (3, 3, channels, 32)))
    strides, padding = (ONE, (2, 2))[channels == 2], ((2, 0), (1, 3))
    got = value_and_gradients(ops.conv_general_dilated, image, kernel, strides, padding)
    out = reference_convolution.convolution(image, kernel, strides, padding)
    noise = draw(*out.shape).astype(dtype)
    gradients = reference_convolution.gradients(image, kernel, noise, strides, padding)
    for mine, true in zip(got, (out, *gradients), strict=True):
        assert mine.dtype == dtype
        assert reference_convolution.error(mine, true) < tolerance


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_convolution_of_one_pixel_is_the_definition(dtype):
    """The last row and column are seen by no window."""
    image, kernel = (draw(*shape).astype(dtype) for shape in ((3, 8, 6, 5), (1, 1, 5, 7)))
    strides, padding = (3, 2), ((0, 0), (0, 0))
    got = value_and_gradients(ops.conv_general_dilated, image, kernel, strides, padding)
    out = reference_convolution.convolution(image, kernel, strides, padding)
    noise = draw(*out.shape).astype(dtype)
    gradients = reference_convolution.gradients(image, kernel, noise, strides, padding)
    assert not np.asarray(got[1])[:, -1].any() and not np.asarray(got[1])[:, :, -1].any()
    for mine, true in zip(got, (out, *gradients), strict=True):
        assert mine.dtype == dtype and mine.shape == true.shape
        assert reference_convolution.error(mine, true) < (1e-6 if dtype == jnp.float32 else 2e-2)


@pytest.mark.parametrize(
    ("channels", "filters", "strides"), [(2, 3, (2, 1)), (32, 32, ONE)], ids=["plain", "Winograd"]
)
def test_gradients_by_finite_differences(channels, filters, strides):
    image, kernel, padding = (
        draw(5, 5, 4, channels),
        draw(3, 3, channels, filters),
        ((1, 0), (0, 2)),
    )
    _, *gradients = value_and_gradients(ops.conv_general_dilated, image, kernel, strides, padding)
    arrays = [np.asarray(image, float), np.asarray(kernel, float)]
    weights = np.asarray(
        draw(*reference_convolution.convolution(*arrays, strides, padding).shape), float
    )
    for number, gradient in enumerate(gradients):
        places = np.random.default_rng(0).permutation(gradient.size)[:100]
        expected = np.empty(len(places))
        for row, place in enumerate(places):
            sides = []
            for step in (0.5, -0.5):  # the map is linear in each: any step is exact
                moved = [a.copy() for a in arrays]
                moved[number].flat[place] += step
                out = reference_convolution.convolution(*moved, strides, padding)
                sides.append((out * weights).sum())
            expected[row] = sides[0] - sides[1]
        assert reference_convolution.error(np.asarray(gradient).ravel()[places], expected) < 2e-5


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ((3, 3, 4, 2), {"rhs_dilation": (2, 2)}),
        ((3, 3, 4, 2), {"lhs_dilation": (2, 1)}),
        ((3, 3, 4, 2), {"batch_group_count": 2}),
        ((3, 3, 4, 2), {"precision": lax.Precision.HIGHEST}),
    ],
    ids=["dilated", "transposed", "batch groups", "precision"],
)
def test_what_is_not_plain_is_lax(kernel, options):
    arguments = (draw(4, 9, 9, 4), draw(*kernel), ONE, ((1, 1), (1, 1)))
    assert_same_program(*arguments, dimension_numbers=NUMBERS, **options)


def test_one_dimension_is_lax():
    arguments = (draw(2, 9, 3), draw(3, 3, 4), (2,), "SAME")
    assert_same_program(*arguments, dimension_numbers=("NWC", "WIO", "NWC"))


def test_another_layout_is_lax():
    arguments = (draw(2, 3, 9, 8), draw(4, 3, 3, 3), ONE, "SAME")
    assert_same_program(*arguments, dimension_numbers=("NCHW", "OIHW", "NCHW"))


def test_double_precision_is_lax():
    with jax.enable_x64(True):
        arrays = (draw(2, 9, 8, 16).astype(float), draw(3, 3, 16, 16).astype(float))
        assert_same_program(*arrays, ONE, "SAME", dimension_numbers=NUMBERS)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_everything_is_lax_under_stock(groups):
    arguments = (draw(2, 9, 8, 4), draw(3, 3, 4 // groups, 4), ONE, "SAME")
    options = {"dimension_numbers": NUMBERS, "feature_group_count": groups}
    with ops.stock():
        assert_same_program(*arguments, **options)
    with pytest.raises(AssertionError):
        assert_same_program(*arguments, **options)


def assert_same_program(*arrays_and_more, **options):
    arrays, more = arrays_and_more[:2], arrays_and_more[2:]

    def program(convolve):
        return str(jax.make_jaxpr(lambda *a: convolve(*a, *more, **options))(*arrays))

    assert program(ops.conv_general_dilated) == program(lax.conv_general_dilated)


def smooth_loss(kernel):
    out = ops.conv_general_dilated(draw(3, 5, 5, 2), kernel, ONE, "SAME", dimension_numbers=NUMBERS)
    return jnp.sum(jnp.sin(ops.max_pool(out, 2)))


def test_derivatives_that_only_the_stock_operations_have():
    kernel, tangent = draw(3, 3, 2, 2), jnp.cos(draw(3, 3, 2, 2))
    gradient = jax.jit(jax.grad(smooth_loss))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(smooth_loss, (kernel,), (tangent,))

    def forward(kernel):
        _, slope = jax.jvp(smooth_loss, (kernel,), (tangent,))
        product = jax.jvp(jax.grad(smooth_loss), (kernel,), (tangent,))[1]
        return slope, jax.jacfwd(smooth_loss)(kernel), product

    with ops.stock():
        slope, jacobian, product = jax.jit(forward)(kernel)
    np.testing.assert_allclose(slope, jnp.vdot(gradient(kernel), tangent), rtol=1e-4)
    np.testing.assert_allclose(jacobian, gradient(kernel), rtol=1e-4, atol=1e-5)
    step = 1e-2
    ahead, behind = (gradient(kernel + s * tangent) for s in (step, -step))
    np.testing.assert_allclose(product, (ahead - behind) / (2 * step), rtol=2e-2, atol=5e-2)


def test_stock_ends_with_its_block_and_can_be_nested():
    assert ops.fast()
    with ops.stock():
        assert not ops.fast()
        with ops.stock(use=False):
            assert ops.fast()
        assert not ops.fast()
    with pytest.raises(KeyError), ops.stock():
        raise KeyError
    assert ops.fast()


def descent():
    """A step of gradient descent of a ConvNet, what it starts from, and three batches.

    Its convolutions go from 3 to 4, 4, 32 and 32 channels, the last in Winograd's form.
    """
    model = ConvNet(widths=(4, 32), hidden=8, num_classes=3)
    images = draw(3, 32, 9, 9, 3)

    def step(params, image):
        gradient = jax.grad(lambda p: (model.apply(p, image, train=True) ** 2).mean())(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), None

    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images[0], train=True))
    return step, jax.tree.map(lambda s: draw(*s.shape) / 4, shapes), images


def test_a_loop_on_the_device_equals_single_steps():
    step, params, images = descent()
    looped, _ = jax.jit(lambda *a: lax.scan(step, *a))(params, images)
    single = jax.jit(step)
    for image in images:
        params, _ = single(params, image)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), looped, params
    )


def test_every_convolution_in_a_loop_is_canonical():
    """XLA:CPU runs any other layout within a loop at a thirtieth of the rate."""
    if jax.default_backend() != "cpu":
        pytest.skip("it is about what XLA:CPU compiles")

    def layouts():
        step, params, images = descent()
        program = jax.jit(lambda *a: lax.scan(step, *a)).lower(params, images).compile()
        return re.findall(r"dim_labels=([^\s,]+)", program.as_text())

    fast = layouts()
    with ops.stock():
        stock = layouts()
    assert set(stock) > {"b01f_01io->b01f"}  # the words looked for are there
    assert set(fast) == {"b01f_01io->b01f"}
    assert len(fast) == 8  # but for Winograd's: 3 forward, 3 for kernels, 2 for images


def test_as_a_field_of_a_flax_layer():
    image = draw(2, 3, 7, 8, 3)  # two leading axes: Flax flattens them
    mine, theirs = (
        nn.Conv(5, (3, 3), strides=2, conv_general_dilated=convolve)
        for convolve in (ops.conv_general_dilated, None)
    )
    variables = {"params": {"kernel": draw(3, 3, 3, 5), "bias": draw(5)}}
    expected = theirs.apply(variables, image)
    np.testing.assert_allclose(mine.apply(variables, image), expected, atol=1e-5)


def test_equal_convolutions_are_lowered_once():
    def products(count: int) -> int:
        def loss(image, kernel):
            for _ in range(count):
                image = ops.conv_general_dilated(
                    image, kernel, ONE, "SAME", dimension_numbers=NUMBERS
                )
            return image.sum()

        arrays = draw(2, 8, 8, 32), draw(3, 3, 32, 32)
        return jax.jit(jax.grad(loss, (0, 1))).lower(*arrays).as_text().count("dot_general")

    assert products(4) == products(3) > 0

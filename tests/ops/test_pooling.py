from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops

CASES = [
    ((2, 8, 8, 3), 2, None),
    ((2, 7, 9, 3), 2, None),
    ((1, 9, 8, 2), 3, 2),
    ((2, 5, 6, 1), 2, 1),
    ((2, 7, 7, 2), 3, 1),
    ((1, 9, 10, 2), 2, 3),
    ((2, 3, 3, 4), 3, None),
]


def draw(*shape: int) -> np.ndarray:
    """A shuffled range: no two entries are equal."""
    return np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float32)


def slow_max_pool(image, window, stride):
    batch, height, width, channels = image.shape
    rows, columns = (height - window) // stride + 1, (width - window) // stride + 1
    out = np.empty((batch, rows, columns, channels), image.dtype)
    for r, c in np.ndindex(rows, columns):
        top, left = r * stride, c * stride
        out[:, r, c] = image[:, top : top + window, left : left + window].max((1, 2))
    return out


@pytest.mark.parametrize(("shape", "window", "stride"), CASES)
def test_values_are_the_largest_of_each_window(shape, window, stride):
    image = draw(*shape) - 30  # some negative
    step = stride or window
    expected = slow_max_pool(image, window, step)
    np.testing.assert_array_equal(ops.max_pool(image, window, stride), expected)
    theirs = nn.max_pool(image, (window, window), (step, step))
    np.testing.assert_array_equal(theirs, expected)
    with ops.stock():
        np.testing.assert_array_equal(ops.max_pool(image, window, stride), expected)


@pytest.mark.parametrize(("shape", "window", "stride"), CASES)
def test_gradients_without_ties_are_those_of_flax(shape, window, stride):
    image = draw(*shape)
    weights = np.cos(slow_max_pool(image, window, stride or window))

    def gradient(pool):
        return jax.jit(jax.grad(lambda x: (pool(x, window, stride) * weights).sum()))(image)

    def theirs(x, window, stride):
        return nn.max_pool(x, (window,) * 2, (stride or window,) * 2)

    np.testing.assert_allclose(gradient(ops.max_pool), gradient(theirs), rtol=1e-6)


def gradient_of_sum(image):
    return np.asarray(jax.grad(lambda x: ops.max_pool(x, 2).sum())(image))[0, :, :, 0]


@pytest.mark.parametrize(
    "window", [[[5, 5], [5, 5]], [[1, 5], [5, 2]], [[5, 0], [0, 5]], [[0, 0], [0, 0]]]
)
def test_ties_share_the_gradient(window):
    """Each of the largest entries has a part, the others none, and together it is whole."""
    image = np.array(window, np.float32)[None, :, :, None]
    shares = gradient_of_sum(image)
    largest = image[0, :, :, 0] == image.max()
    assert (shares[largest] > 0).all()
    assert (shares[~largest] == 0).all()
    assert shares.sum() == 1


def test_ties_give_the_gradient_to_the_first_under_stock():
    image = np.array([[1, 5], [5, 5]], np.float32)[None, :, :, None]
    with ops.stock():
        np.testing.assert_array_equal(gradient_of_sum(image), [[0, 1], [0, 0]])


@pytest.mark.parametrize("stock", [True, False])
def test_forward_mode_and_second_derivatives(stock):
    """Of the sum of the largests' sines: cosines and negative sines, at their places only."""
    image, tangent = draw(2, 4, 6, 3) / 10, np.cos(draw(2, 4, 6, 3))
    largest = np.repeat(np.repeat(slow_max_pool(image, 2, 2), 2, 1), 2, 2)
    at = image == largest

    def loss(image):
        return jnp.sum(jnp.sin(ops.max_pool(image, 2)))

    def derivatives(image):
        slope = jax.jvp(loss, (image,), (tangent,))[1]
        twice = jax.grad(lambda x: jnp.vdot(jax.grad(loss)(x), tangent))(image)
        return slope, jax.jvp(jax.grad(loss), (image,), (tangent,))[1], twice

    with ops.stock(stock):
        slope, product, twice = jax.jit(derivatives)(image)
    np.testing.assert_allclose(slope, (np.cos(image) * tangent)[at].sum(), rtol=1e-4)
    for second in (product, twice):
        np.testing.assert_allclose(second, -np.sin(image) * tangent * at, atol=1e-5)

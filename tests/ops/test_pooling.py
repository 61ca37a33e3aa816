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


def gradient_of_sum(image, stride):
    return np.asarray(jax.grad(lambda x: ops.max_pool(x, 2, stride).sum())(image))[0, :, :, 0]


@pytest.mark.parametrize("stock", [True, False])
@pytest.mark.parametrize(
    ("window", "first"),
    [
        ([[5, 5], [5, 5]], (0, 0)),
        ([[1, 5], [5, 5]], (0, 1)),
        ([[1, 2], [5, 5]], (1, 0)),
        ([[0, 0], [0, 0]], (0, 0)),
    ],
)
def test_the_first_of_equals_has_the_gradient(window, first, stock):
    image = np.array(window, np.float32)[None, :, :, None]
    expected = np.zeros((2, 2))
    expected[first] = 1
    with ops.stock(stock):
        np.testing.assert_array_equal(gradient_of_sum(image, 2), expected)


@pytest.mark.parametrize("stock", [True, False])
def test_the_first_of_equals_has_the_gradient_of_overlapping_windows(stock):
    """The top left corner of each of the four windows of a flat image."""
    with ops.stock(stock):
        gradient = gradient_of_sum(np.zeros((1, 3, 3, 1), np.float32), 1)
    np.testing.assert_array_equal(gradient, [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("stock", [True, False])
def test_second_derivatives(stock):
    """Of the sum of the largests' sines: cosines and negative sines, at their places only."""
    image, tangent = draw(2, 4, 6, 3) / 10, np.cos(draw(2, 4, 6, 3))
    largest = np.repeat(np.repeat(slow_max_pool(image, 2, 2), 2, 1), 2, 2)
    at = image == largest

    def loss(image):
        return jnp.sum(jnp.sin(ops.max_pool(image, 2)))

    with ops.stock(stock):
        twice = jax.jit(jax.grad(lambda x: jnp.vdot(jax.grad(loss)(x), tangent)))(image)
        np.testing.assert_allclose(twice, -np.sin(image) * tangent * at, atol=1e-5)
    with ops.stock():
        slope = jax.jvp(loss, (image,), (tangent,))[1]
        product = jax.jvp(jax.grad(loss), (image,), (tangent,))[1]
    np.testing.assert_allclose(slope, (np.cos(image) * tangent)[at].sum(), rtol=1e-4)
    np.testing.assert_allclose(product, -np.sin(image) * tangent * at, atol=1e-5)

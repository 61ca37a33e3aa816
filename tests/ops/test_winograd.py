from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_convolution

from cnn_jax.ops import winograd

# Tile and kernel of both directions: what `convolve` uses, and what `kernel_gradient` does.
USED = [(2, 3), (3, 3), (4, 3), (2, 4), (3, 4), (2, 5), (3, 2), (4, 2), (5, 2), (4, 3), (3, 4)]
# Batch, image, side and filters of the kernel, padding, images in a chunk.
CASES = [
    (7, (7, 9, 5), 3, 4, ((1, 1), (1, 1)), 3),
    (4, (6, 5, 3), 3, 6, ((2, 0), (-1, 3)), 2),
    (3, (2, 3, 2), 3, 3, ((2, 2), (2, 1)), 8),
    (5, (8, 6, 4), 4, 3, ((1, 2), (0, -1)), 2),
    (5, (9, 6, 3), 5, 4, ((2, 2), (-2, 4)), 4),
]


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("m", "r"), USED)
def test_matrices_correlate(m, r):
    outputs, weights, inputs = winograd.matrices(m, r)
    data, kernel = np.random.default_rng(m).standard_normal((2, m + r - 1))
    got = outputs @ ((weights @ kernel[:r]) * (inputs @ data))
    np.testing.assert_allclose(got, np.correlate(data, kernel[:r], "valid"), atol=1e-13)


@pytest.mark.parametrize(
    ("side", "r", "itemsize", "m"),
    [
        ((4, 4), 3, 4, 4),  # 1 tile of 36 products, 4 of 16, 4 of 25
        ((6, 6), 3, 4, 3),  # 4 of 25; 9 of 16, 4 of 36
        ((7, 7), 3, 4, 4),  # 4 of 36; 16 of 16, 9 of 25
        ((9, 9), 3, 4, 3),  # 9 of 25; 25 of 16, 9 of 36
        ((2, 6), 3, 4, 2),  # 3 of 16; 2 of 25, 2 of 36
        ((6, 6), 4, 4, 3),  # 4 of 36; 9 of 25
        ((4, 4), 4, 4, 2),  # 4 of 25; 4 of 36
        ((8, 8), 5, 4, 2),
        ((8, 8), 3, 2, 2),  # half precision has no larger tile
    ],
)
def test_the_tile_with_the_fewest_multiplications(side, r, itemsize, m):
    assert winograd.tile(side, r, itemsize) == m


def test_the_kernels_that_it_takes():
    full = [r for r in range(1, 9) if winograd.takes((r, r, 64, 64), 4)]
    half = [r for r in range(1, 9) if winograd.takes((r, r, 64, 64), 2)]
    assert (full, half) == ([3, 4, 5], [3])
    assert not winograd.takes((3, 5, 64, 64), 4)


def run(dtype, batch, image, r, filters, padding):
    """Output and kernel's gradient as computed, as they are defined, and the number of loops."""
    image, kernel = draw(batch, *image), draw(r, r, image[-1], filters)
    image, kernel = jnp.asarray(image, dtype), jnp.asarray(kernel, dtype)
    expected = reference_convolution.convolution(image, kernel, (1, 1), padding)
    gradient = jnp.asarray(draw(*expected.shape), dtype)

    def both(image, kernel, gradient):
        out = winograd.convolve(image, kernel, padding)
        return out, winograd.kernel_gradient(image, gradient, r, padding)

    program = jax.jit(both).trace(image, kernel, gradient)
    out, to_kernel = program.lower().compile()(image, kernel, gradient)
    assert out.dtype == dtype
    assert to_kernel.dtype == jnp.float32
    _, expected_gradient = reference_convolution.gradients(image, kernel, gradient, (1, 1), padding)
    return (out, expected), (to_kernel, expected_gradient), str(program.jaxpr).count("scan[")


@pytest.mark.parametrize(("batch", "image", "r", "filters", "padding", "chunk"), CASES)
def test_float32_keeps_five_digits(monkeypatch, batch, image, r, filters, padding, chunk):
    monkeypatch.setattr(winograd, "_chunk", lambda *_: chunk)
    out, to_kernel, loops = run(jnp.float32, batch, image, r, filters, padding)
    assert loops == 2 * (chunk <= batch)
    assert reference_convolution.error(*out) < 1e-5
    assert reference_convolution.error(*to_kernel) < 1e-5


@pytest.mark.parametrize(("batch", "image", "r", "filters", "padding", "chunk"), CASES[:2])
def test_bfloat16_keeps_what_it_holds(monkeypatch, batch, image, r, filters, padding, chunk):
    monkeypatch.setattr(winograd, "_chunk", lambda *_: chunk)
    out, to_kernel, _ = run(jnp.bfloat16, batch, image, r, filters, padding)
    assert reference_convolution.error(*out) < 5e-2
    assert reference_convolution.error(*to_kernel) < 5e-2


def test_a_chunk_of_a_wide_image_has_at_least_itself():
    image, kernel = jax.ShapeDtypeStruct((2, 512, 512, 16), jnp.float32), draw(3, 3, 16, 16)
    out = jax.eval_shape(lambda i, k: winograd.convolve(i, k, ((1, 1), (1, 1))), image, kernel)
    assert out.shape == (2, 512, 512, 16)

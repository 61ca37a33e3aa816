from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops.chunks import map_chunks, sum_chunks

# Examples of a batch of 7 in a chunk: no remainder, one, several, the whole, more than there are.
SIZES = [1, 2, 3, 4, 7, 9]


def batch():
    random = np.random.default_rng(0)
    return random.standard_normal((7, 2, 3)).astype("f"), random.standard_normal((7, 3)).astype("f")


@pytest.mark.parametrize("size", SIZES)
def test_chunks_side_by_side_are_the_whole(size):
    sizes = []

    def product(first, second):
        sizes.append((len(first), len(second)))
        return jnp.einsum("bij,bj->bi", first, second)

    first, second = batch()
    got = jax.jit(lambda *arrays: map_chunks(product, size, *arrays))(first, second)
    np.testing.assert_allclose(got, np.einsum("bij,bj->bi", first, second), rtol=1e-5, atol=1e-6)
    assert max(sizes) == (min(size, 7),) * 2


@pytest.mark.parametrize("size", SIZES)
def test_the_sum_of_chunks_is_that_of_the_whole(size):
    def product(first, second):
        return jnp.einsum("bij,bj->ij", first, second)

    first, second = batch()
    got = jax.jit(lambda *arrays: sum_chunks(product, size, *arrays))(first, second)
    np.testing.assert_allclose(got, np.einsum("bij,bj->ij", first, second), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "chunks"),
    [(2, {2, 1}), (3, {3, 1}), (4, {4, 3}), (5, {5, 2}), (6, {6, 1}), (7, {7})],
)
def test_a_chunk_that_divides_the_batch_leaves_nothing_over(size, chunks):
    """7 has no divisor but itself; 12 has one above half of each of these sizes."""
    seen = []

    def note(array):
        seen.append(len(array))
        return array

    jax.eval_shape(lambda array: map_chunks(note, size, array), np.zeros((7, 1)))
    assert set(seen) == chunks
    seen.clear()
    jax.eval_shape(lambda array: map_chunks(note, size, array), np.zeros((12, 1)))
    assert set(seen) == {2: {2}, 3: {3}, 4: {4}, 5: {4}, 6: {6}, 7: {6}}[size]

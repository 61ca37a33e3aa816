from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.batch import Batch
from cnn_jax.training.metric_sums import Sums

LOGITS = jnp.array([[1.0, 3, 2], [5, 0, 0], [0, 1, 2], [9, 8, 7], [0, 2, 1]])
LOSSES = jnp.array([0.5, 1.0, 2.0, 4.0, 8.0])
LABELS = jnp.array([1, 0, 0, 1, 1])  # right, right, wrong, wrong, right


def batch(label=LABELS, mask=None) -> Batch:
    size = len(label)
    return Batch(
        image=jnp.zeros((size, 1, 1, 3), jnp.uint8),
        label=label,
        index=jnp.arange(size),
        epoch=jnp.int32(0),
        mask=jnp.ones(size) if mask is None else jnp.array(mask, jnp.float32),
    )


of = jax.jit(Sums.of)


def numbers(sums: Sums) -> tuple[float, int, int]:
    return float(sums.loss), int(sums.correct), int(sums.count)


def test_sums_by_hand():
    assert numbers(of(LOSSES, LOGITS, batch())) == (15.5, 3, 5)


def test_padding_counts_for_nothing():
    """Not even where its loss is not a number."""
    losses = LOSSES.at[4].set(jnp.nan)
    assert numbers(of(losses, LOGITS, batch(mask=[1, 0, 1, 1, 0]))) == (6.5, 1, 3)


def test_a_mixed_label_counts_as_its_larger_part():
    mixed = jnp.array([[0, 0.6, 0.4], [0.3, 0.7, 0], [0.1, 0, 0.9], [0, 0, 1], [0.6, 0.4, 0]])
    assert numbers(of(LOSSES, LOGITS, batch(mixed))) == (15.5, 2, 5)


def test_parts_add_up_to_the_whole():
    whole = Sums.zero()
    for rows in (slice(0, 1), slice(1, 4), slice(4, 5)):
        whole = whole + of(LOSSES[rows], LOGITS[rows], batch(LABELS[rows]))
    assert numbers(whole) == numbers(of(LOSSES, LOGITS, batch()))


def test_means_are_per_example():
    """Not the mean of the batches' means: those would be (1.0 + 14.5 / 4) / 2 and (1 + 0.5) / 2."""
    parts = [of(LOSSES[r], LOGITS[r], batch(LABELS[r])) for r in (slice(1), slice(1, 5))]
    means = (parts[0] + parts[1]).means()
    assert means == {"loss": pytest.approx(3.1), "accuracy": pytest.approx(0.6)}
    assert all(type(value) is float for value in means.values())


def test_counts_are_whole_numbers():
    """A float32 stops counting at 16,777,216."""
    many = Sums(jnp.float32(0), jnp.int32(2**24), jnp.int32(2**24))
    assert numbers(many + of(LOSSES, LOGITS, batch()))[1:] == (2**24 + 3, 2**24 + 5)
    shapes = jax.eval_shape(lambda: of(LOSSES, LOGITS, batch()) + Sums.zero())
    assert (shapes.correct.dtype, shapes.count.dtype) == (jnp.int32, jnp.int32)


def test_adding_under_jit():
    total = jax.jit(lambda a, b: a + b)(*[of(LOSSES, LOGITS, batch())] * 2)
    np.testing.assert_allclose(numbers(total), (31, 6, 10))

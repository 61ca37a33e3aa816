from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Split
from cnn_jax.data.resident import Resident, balanced_order, epoch_order

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 4, 5, 3)).astype(np.uint8)
LABELS = np.arange(11, dtype=np.int32) % 3


def order(epoch, seed=0, examples=1000):
    return np.asarray(epoch_order(jax.random.key(seed), jnp.int32(epoch), examples))


def test_an_epoch_has_each_example_once():
    for epoch in range(3):
        np.testing.assert_array_equal(np.sort(order(epoch)), np.arange(1000))


def test_the_order_is_a_function_of_seed_and_epoch():
    np.testing.assert_array_equal(order(5), order(5))
    for other in (order(6), order(5, seed=1), np.arange(1000)):
        assert (order(5) == other).sum() < 20  # one is expected by chance


# 350 examples of four classes in random order; class 2 has none.
COUNTS = (300, 30, 0, 20)
IMBALANCED = np.random.default_rng(1).permutation(np.repeat(np.arange(4, dtype=np.int32), COUNTS))
# Of steps of 32, an epoch uses 320.
DRAWN = 320


@functools.partial(jax.jit, static_argnames=("drawn",))
def _balanced(key, epoch, labels, drawn):
    return balanced_order(key, epoch, labels, 4, drawn)


def balanced(epoch, seed=0, drawn=DRAWN):
    return np.asarray(_balanced(jax.random.key(seed), jnp.int32(epoch), IMBALANCED, drawn))


@pytest.mark.parametrize("drawn", [DRAWN, 350])
def test_every_class_is_drawn_equally_often(drawn):
    """320 or 350 of three classes: 106 or 107, 116 or 117 of each, and none of the empty class."""
    more = set()
    for epoch in range(8):
        found = balanced(epoch, drawn=drawn)
        assert found.shape == (350,) and found.dtype == np.int32
        for part in (found, found[:drawn]):
            counts = np.bincount(IMBALANCED[part], minlength=4)
            assert counts[2] == 0
            expected = {320: [106, 107, 107], 350: [116, 117, 117]}[len(part)]
            assert sorted(counts[[0, 1, 3]]) == expected
        more.add(np.bincount(IMBALANCED[found[:drawn]], minlength=4)[[0, 1, 3]].argmin())
    assert more == {0, 1, 2}, "it should not be the same class each time that is drawn less often"


def test_examples_of_a_class_are_drawn_at_random_with_replacement():
    """Chi-square over its degrees of freedom is 1; of the small classes, it is far below 1 if each
    example is drawn as often as the others of its class."""
    draws = np.concatenate([balanced(epoch)[:DRAWN] for epoch in range(300)])
    for label in (0, 1, 3):
        members = np.flatnonzero(label == IMBALANCED)
        times = np.bincount(draws, minlength=350)[members]
        expected = times.sum() / len(members)
        ratio = ((times - expected) ** 2 / expected).sum() / (len(members) - 1)
        assert 0.4 < ratio < 1.8


def test_a_balanced_epoch_is_in_random_order():
    """The classes of neighbours are independent: equal for a third of the pairs, with sd 1 %."""
    labels = np.stack([IMBALANCED[balanced(epoch)[:DRAWN]] for epoch in range(8)])
    assert 0.29 < (labels[:, 1:] == labels[:, :-1]).mean() < 0.37


def test_the_balanced_order_is_a_function_of_seed_and_epoch():
    np.testing.assert_array_equal(balanced(5), balanced(5))
    for other in (balanced(6), balanced(5, seed=1)):
        assert (balanced(5) == other).sum() < 20  # about 6 are expected by chance


def gathered(index, epoch=0):
    data = Resident.of(Split(IMAGES, LABELS))
    return jax.jit(Resident.batch)(data, jnp.array(index, jnp.int32), jnp.int32(epoch))


def test_gathers_images_with_their_labels():
    index = np.array([3, 0, 10, 3])
    batch = gathered(index, epoch=4)
    np.testing.assert_array_equal(batch.image, IMAGES[index])
    assert batch.image.dtype == jnp.uint8
    np.testing.assert_array_equal(batch.label, LABELS[index])
    np.testing.assert_array_equal(batch.index, index)
    np.testing.assert_array_equal(batch.mask, [1, 1, 1, 1])
    assert int(batch.epoch) == 4


def test_beyond_the_last_example_is_padding():
    batch = gathered([9, 10, 11, 15])
    np.testing.assert_array_equal(batch.mask, [1, 1, 0, 0])
    np.testing.assert_array_equal(batch.image[:2], IMAGES[9:])
    assert int(batch.index.max()) == 10

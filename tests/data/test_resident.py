from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Split
from cnn_jax.data.resident import Resident, epoch_order, gather

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


def gathered(index, epoch=0):
    data = Resident.of(Split(IMAGES, LABELS))
    return jax.jit(gather)(data, jnp.array(index, jnp.int32), jnp.int32(epoch))


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

"""Volumes, weights, receptive fields and full connection against numbers worked out by hand."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models, ops
from cnn_jax.analysis.volume_sentences import in_words, lesson
from cnn_jax.analysis.volumes import volumes

CIFAR = (32, 32, 3)

FIELDS = (
    *("name", "what", "volume", "weights", "biases"),
    *("multiply_adds", "receptive_field", "fully_connected"),
)
# A convolution of h x w x d filters of n x n x c: n*n*c*d weights, h*w times as many products.
CONVNET = [
    ("INPUT", "", (32, 32, 3), 0, 0, 0, None, None),
    ("Conv_0", "conv 3x3", (32, 32, 16), 27 * 16, 16, 1024 * 432, (3, 3), 3072 * 16384),
    ("Conv_1", "conv 3x3", (32, 32, 16), 144 * 16, 16, 1024 * 2304, (5, 5), 16384 * 16384),
    ("max pool", "pool 2x2", (16, 16, 16), 0, 0, 0, (6, 6), None),
    ("Conv_2", "conv 3x3", (16, 16, 32), 144 * 32, 32, 256 * 4608, (10, 10), 4096 * 8192),
    ("Conv_3", "conv 3x3", (16, 16, 32), 288 * 32, 32, 256 * 9216, (14, 14), 8192 * 8192),
    ("max pool", "pool 2x2", (8, 8, 32), 0, 0, 0, (16, 16), None),
    ("Conv_4", "conv 3x3", (8, 8, 64), 288 * 64, 64, 64 * 18432, (24, 24), 2048 * 4096),
    ("Conv_5", "conv 3x3", (8, 8, 64), 576 * 64, 64, 64 * 36864, (32, 32), 4096 * 4096),
    ("max pool", "pool 2x2", (4, 4, 64), 0, 0, 0, (32, 32), None),
    ("Dense_0", "fc", (1, 1, 128), 1024 * 128, 128, 131072, (32, 32), 131072),
    ("Dense_1", "fc", (1, 1, 10), 128 * 10, 10, 1280, (32, 32), 1280),
]


def table_of(make, shape=CIFAR, **fields):
    return volumes(make(num_classes=10, **fields), shape)


def test_convnet_row_by_row():
    rows = [tuple(getattr(row, field) for field in FIELDS) for row in table_of(models.ConvNet).rows]
    assert rows == CONVNET


def test_convnet_totals():
    table = table_of(models.ConvNet)
    assert table.parameters == table.weights + table.biases == 204_570
    assert (table.weights, table.biases, table.multiply_adds) == (204_208, 362, 10_011_904)
    assert table.fully_connected == 444_596_224 + 131_072 + 1_280
    assert table.ratio == 444_596_224 / 71_856


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (models.MLP, 1_841_162),
        (models.LeNet, 62_006),
        (models.ResNet20, 269_722),
        (models.ResNet18, 11_173_962),
    ],
)
def test_the_rows_hold_every_parameter(make, parameters):
    table = table_of(make)
    assert table.parameters == table.weights + table.biases == parameters
    assert table.rows[-1].volume == (1, 1, 10)


def test_lenet_by_hand():
    table = table_of(models.LeNet)
    assert [row.receptive_field for row in table.rows[1:5]] == [(5, 5), (6, 6), (14, 14), (16, 16)]
    assert [row.volume for row in table.rows[1:5]] == [
        (28, 28, 6),
        (14, 14, 6),
        (10, 10, 16),
        (5, 5, 16),
    ]
    would = [row.fully_connected for row in table.convolutions]
    assert would == [3072 * 28 * 28 * 6, 14 * 14 * 6 * 10 * 10 * 16]
    assert table.ratio == sum(would) / (75 * 6 + 150 * 16)


def test_receptive_fields_are_the_pixels_that_a_point_depends_on(monkeypatch):
    size = 96  # large enough for no field to be cut at the border
    table = table_of(models.ConvNet, (size, size, 3))
    fields = [row.receptive_field for row in table.rows if row.kind in ("conv", "pool")]

    def mean_pool(x, window):  # every pixel of a window counts, not the largest only
        return nn.avg_pool(x, (window, window), (window, window))

    monkeypatch.setattr(ops, "max_pool", mean_pool)
    model = models.ConvNet(widths=(2, 2, 2), hidden=1, num_classes=1)
    image = jnp.ones((1, size, size, 3))
    variables = jax.tree.map(
        lambda leaf: jnp.abs(leaf) + 0.1, model.init(jax.random.key(0), image, train=False)
    )

    def points(image):
        _, kept = model.apply(variables, image, train=False, capture_intermediates=True)
        found = []
        for i in range(6):
            volume = kept["intermediates"][f"Conv_{i}"]["__call__"][0]
            found.append(volume)
            if i % 2:
                found.append(mean_pool(volume, 2))
        # Logarithms keep the sums of positive terms within range.
        return jnp.stack([jnp.log(v[0, v.shape[1] // 2, v.shape[2] // 2, 0]) for v in found])

    gradients = np.asarray(jax.jit(jax.jacrev(points))(image))[:, 0].any(axis=-1)
    extents = [
        tuple(int(np.ptp(np.flatnonzero(seen.any(axis=axis)))) + 1 for axis in (1, 0))
        for seen in gradients
    ]
    assert fields == extents


def test_residual_nets_have_their_norms_in_the_rows_of_their_convolutions():
    table = table_of(models.ResNet20)
    assert len(table.convolutions) == 19
    assert [row.kind for row in table.rows] == ["input", *["conv"] * 19, "pool", "fc"]
    assert table.rows[1].biases == 2 * 16


class Normed(nn.Module):
    """A convolution with biases, and a norm."""

    @nn.compact
    def __call__(self, image, *, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(5, (3, 3))(image))
        return nn.Dense(10, use_bias=False)(x.mean((1, 2)))


def test_biases_and_the_numbers_of_the_norm_add_up():
    table = volumes(Normed(), CIFAR)
    assert [row.biases for row in table.rows] == [0, 5 + 2 * 5, 0, 0]
    assert table.weights + table.biases == table.parameters == 27 * 5 + 15 + 50


def test_shortcuts_are_rows_of_their_own():
    beside = [row for row in table_of(models.ResNet18).rows if row.what.startswith("+")]
    assert [row.what for row in beside] == ["+conv 1x1/2"] * 3
    assert [row.weights for row in beside] == [64 * 128, 128 * 256, 256 * 512]
    assert beside[0].fully_connected == 32 * 32 * 64 * 16 * 16 * 128
    assert len(table_of(models.ResNet18).convolutions) == 20


def test_frozen_weights_are_in_the_table_and_counted_separately():
    table = table_of(models.QuickNet)
    assert table.parameters == 287_408
    assert table.weights + table.biases == 287_408 + 4 * 4 * 3 * 48
    assert "287,408 of the 289,712 numbers in the table are trained" in lesson(table)[-1]


def test_the_lesson_on_small_images():
    sentences = lesson(table_of(models.ConvNet))
    assert sentences == [
        "One fully connected neuron on 32x32x3 has 3,072 weights; on 200x200x3 it has 120,000.",
        "A neuron of Conv_0 is connected to a patch of 3x3x3: 27 weights, shared by the neurons at "
        "all 32x32 places.",
        "The convolutions have 71,856 weights; fully connected layers between the same volumes "
        "would need 445 million: 6,187 times as many.",
        "The last volume is 1x1x10: the class scores.",
        "204,570 parameters are trained; one image takes 10,011,904 multiply-adds.",
    ]


def test_the_lesson_on_large_images():
    table = table_of(models.ConvNet, (200, 200, 3))
    text = "\n".join(lesson(table))
    assert "One fully connected neuron on 200x200x3 has 120,000 weights" in text
    assert "on 32x32x3 it has 3,072" in text
    assert table.rows[1].fully_connected == 120_000 * 200 * 200 * 16
    assert table.rows[-1].volume == (1, 1, 10)


def test_a_net_without_convolutions_has_only_the_first_part_of_the_lesson():
    table = table_of(models.MLP)
    assert "Dense_0 has 512 of them: 1,572,864 weights." in lesson(table)
    assert "convolutions" not in "\n".join(lesson(table))
    assert table.ratio == 1


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (71_856, "71,856"),
        (1_000_000, "1.0 million"),
        (444_596_224, "445 million"),
        (999_700_000, "1.0 billion"),
        (8_700_000_000, "8.7 billion"),
        (41_574_400_005_120, "41.6 trillion"),
        (3_000_000_000_000_000, "3,000 trillion"),
    ],
)
def test_large_numbers_in_words(number, words):
    assert in_words(number) == words


def test_rows_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        table_of(models.MLP).rows[0].name = "other"

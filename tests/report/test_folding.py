"""Long tables of layers: which lines they become, and that no number is lost."""

from __future__ import annotations

import pytest
from printed import to_text

from cnn_jax import models
from cnn_jax.analysis.volumes import volumes
from cnn_jax.report.folding import folded

SMALL = {
    "SEResNet": models.SEResNet(blocks=(2, 2), width=8, reduction=2, num_classes=10),
    "DenseNet": models.DenseNet(blocks=(4, 4), growth=4, num_classes=10),
    "BottleneckResNet": models.BottleneckResNet(blocks=(4, 4), width=4, num_classes=10),
}


def lines(name, most):
    table = volumes(SMALL[name], (32, 32, 3))
    return table, [(row.name, row.what, row.volume) for row in folded(table.rows, most)]


def test_blocks_are_one_line_and_equal_ones_another():
    table, made = lines("BottleneckResNet", 8)
    assert len(table.rows) == 1 + 1 + 4 + 9 + 4 + 9 + 2
    assert made == [
        ("INPUT", "", (32, 32, 3)),
        ("Conv_0", "conv 3x3", (32, 32, 4)),
        ("Bottleneck_0", "4 layers", (32, 32, 16)),
        ("Bottleneck_1", "3 x 3 layers", (32, 32, 16)),
        ("Bottleneck_4", "4 layers", (16, 16, 32)),
        ("Bottleneck_5", "3 x 3 layers", (16, 16, 32)),
        ("global mean", "pool 16x16", (1, 1, 32)),
        ("Dense_0", "fc", (1, 1, 10)),
    ]


def test_a_block_sees_as_much_as_its_deepest_layer():
    """3 pixels, 2 more with each 3x3 convolution, 4 more with each after the first that halves."""
    table, _ = lines("BottleneckResNet", 8)
    fields = [row.receptive_field for row in folded(table.rows, 8)][1:-2]
    assert fields == [(side, side) for side in (3, 5, 11, 13, 25)]


def test_the_volume_of_a_block_is_not_that_of_what_decides_on_its_scales():
    _, made = lines("SEResNet", 10)
    assert [line for line in made if line[0].startswith("SEBlock")] == [
        ("SEBlock_0", "5 layers", (32, 32, 8)),
        ("SEBlock_1", "6 layers", (32, 32, 8)),  # with a norm of its own
        ("SEBlock_2", "7 layers", (16, 16, 16)),  # and a shortcut
        ("SEBlock_3", "5 layers", (16, 16, 16)),
    ]


def test_blocks_that_differ_are_one_line_a_stage():
    """Twice 4 channels, 4 more with each of 4 layers, then half."""
    _, made = lines("DenseNet", 10)
    names = [(name, what) for name, what, _ in made]
    assert ("DenseLayer_0", "4 blocks") in names and ("DenseLayer_4", "4 blocks") in names
    assert len(names) <= 10


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("most", [100, 20, 10, 5])
def test_no_number_is_lost(name, most):
    table = volumes(SMALL[name], (32, 32, 3))
    rows = folded(table.rows, most)
    for key in ("weights", "biases", "multiply_adds", "count"):
        assert sum(getattr(row, key) for row in rows) == sum(
            getattr(row, key) for row in table.rows
        )
    assert sum(row.fully_connected or 0 for row in rows) == table.fully_connected


def test_the_deepest_fit_a_terminal():
    text = to_text(volumes(models.DenseNetBC100_12(num_classes=10), (32, 32, 3)))
    assert len(text.splitlines()) <= 32

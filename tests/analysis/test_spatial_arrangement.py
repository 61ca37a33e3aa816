"""The arithmetic of CS231n's notes, with the notes' numbers."""

from __future__ import annotations

import jax
import pytest

from cnn_jax import models
from cnn_jax.analysis.spatial_arrangement import Filters, output_side
from cnn_jax.analysis.volumes import volumes


@pytest.mark.parametrize(
    ("side", "window", "padding", "stride", "expected"),
    [(5, 3, 1, 1, 5), (5, 3, 1, 2, 3), (7, 3, 0, 1, 5), (7, 3, 0, 2, 3), (227, 11, 0, 4, 55)],
)
def test_the_output_s_side(side, window, padding, stride, expected):
    assert output_side(side, window, padding=padding, stride=stride) == expected
    # XLA has the same.
    image = jax.ShapeDtypeStruct((1, 1, side, side), "float32")
    kernel = jax.ShapeDtypeStruct((1, 1, window, window), "float32")
    made = jax.eval_shape(
        lambda x, w: jax.lax.conv(
            jax.numpy.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding))),
            w,
            (stride, stride),
            "VALID",
        ),
        image,
        kernel,
    )
    assert made.shape[2:] == (expected, expected)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (
            {"side": 10, "window": 3, "stride": 2},
            r"\(10 - 3 \+ 2\*0\)/2 \+ 1 = 4\.5; .*stride 1, side 9 or 11",
        ),
        ({"side": 224, "window": 11, "stride": 4}, r"= 54\.25; .*stride 3, side 223 or 227"),
        ({"side": 4, "window": 7, "padding": 1}, "window 7 is larger than side 4 with padding 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(numbers, says):
    with pytest.raises(ValueError, match=says):
        output_side(**numbers)


def test_alexnet_s_first_layer_with_and_without_sharing():
    first = Filters((227, 227, 3), 96, 11, stride=4)
    assert first.output == (55, 55, 96)
    assert first.neurons == 290_400
    assert first.weights_per_neuron == 363
    assert first.parameters_without_sharing == 105_705_600
    assert first.parameters == 34_944
    table = volumes(models.AlexNet2012(num_classes=1000), (227, 227, 3))
    row = table.rows[1]
    assert (row.volume, row.values) == (first.output, first.neurons)
    assert row.weights + row.biases == first.parameters


# Rows of the notes: memory of each layer in thousands of values, as printed there.
VGG16 = [150, 3200, 3200, 800, 1600, 1600, 400, 800, 800, 800, 200]
VGG16 += [400, 400, 400, 100, 100, 100, 100, 25, 4, 4, 1]


def test_vgg16_s_memory_and_parameters():
    """The notes' total of 24 million values is a slip: their rows have 15.2 million."""
    assert sum(VGG16) / 1000 == pytest.approx(15.18, abs=0.01)
    table = volumes(models.ImageNetVGG16(num_classes=1000), (224, 224, 3))
    rows = [row.values for row in table.rows]
    assert len(rows) == len(VGG16)
    for row, printed in zip(rows, VGG16, strict=True):
        assert row / 1000 == pytest.approx(printed, rel=0.03)
    assert table.values == 15_237_608
    assert table.weights == 138_344_128
    assert table.weights + table.biases == table.parameters == 138_357_544


def test_pixels_that_no_window_covers():
    """On 224 pixels the last window of AlexNet's first layer ends one pixel before the border."""
    found = {
        side: volumes(models.AlexNet2012(num_classes=10), (side, side, 3)).layers[0].uncovered
        for side in (224, 227)
    }
    assert found == {224: (1, 1), 227: (0, 0)}

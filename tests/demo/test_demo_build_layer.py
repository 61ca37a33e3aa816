"""The arithmetic of the tab Build a layer, against JAX's own convolution."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from cnn_jax.demo import labels
from cnn_jax.demo.build_layer import PRESETS, RANGES, arrangement, volumes_picture
from cnn_jax.report import figure_style
from cnn_jax.report.window_figure import build_windows


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_jaxs_output_volume_and_the_weights_of_its_kernel(name):
    side, depth, window, stride, padding, count = sizes = PRESETS[name]
    filters, reason = arrangement(*sizes)
    kernel = (window, window, depth, count)
    output = jax.eval_shape(
        lambda image, kernel: jax.lax.conv_general_dilated(
            image,
            kernel,
            (stride, stride),
            [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ),
        jax.ShapeDtypeStruct((1, side, side, depth), np.float32),
        jax.ShapeDtypeStruct(kernel, np.float32),
    ).shape[1:]
    if name == "misfit":
        assert filters is None
        assert "= 4.5" in reason
        assert reason[1:] in labels.arithmetic(sizes, None, reason)
        return
    assert filters.output == output
    rows = dict(labels.counts(filters))
    value = {key: int(text.rpartition(" ")[2].replace(",", "")) for key, text in rows.items()}
    assert value["Neurons"] == np.prod(output)
    assert value["Weights and biases, shared"] == np.prod(kernel) + count
    assert value["Weights of a neuron"] == np.prod(kernel[:3])
    connected = side * side * depth * int(np.prod(output)) + np.prod(output)
    assert value["Weights and biases, fully connected"] == connected
    assert value["Multiply-adds for an image"] == np.prod(output) * np.prod(kernel[:3])
    assert f"= {output[0]}" in labels.arithmetic(sizes, filters, "")
    assert all(low <= size <= high for size, (low, high) in zip(sizes, RANGES, strict=True))


def test_the_lessons_numbers():
    weights = [
        arrangement(*PRESETS[name])[0].weights_per_neuron for name in PRESETS if name[0] == "n"
    ]
    assert weights == [3072, 120_000]
    assert labels.PRESETS.keys() == PRESETS.keys()


def test_a_fully_connected_layer_as_a_convolution_needs_as_many_weights():
    filters, _ = arrangement(*PRESETS["connected"])
    rows = dict(labels.counts(filters))
    assert rows["Weights and biases, fully connected"] == f"{filters.parameters:,}"


def test_volumes_are_drawn_also_at_the_ends_of_the_sliders():
    for sizes in (
        (1, 1, 1, 1, 0, 1),
        tuple(high for _, high in RANGES),
        (256, 512, 1, 1, 16, 4096),
    ):
        filters, _ = arrangement(*sizes)
        if filters:
            assert volumes_picture(filters).shape[2] == 3


def test_windows_are_drawn_where_pixels_can_be_told_apart():
    def drawn(*sizes):
        return figure_style.picture(build_windows, *sizes)

    fits, misfit = drawn(10, 4, 0, 2), drawn(10, 3, 0, 2)
    assert fits is not None
    orange = (np.abs(misfit.astype(int) - (0xD5, 0x5E, 0x00)) < 8).all(-1)
    assert orange.any()
    assert not (np.abs(fits.astype(int) - (0xD5, 0x5E, 0x00)) < 8).all(-1).any()
    assert drawn(41, 3, 0, 1) is None
    assert drawn(3, 5, 0, 1) is None

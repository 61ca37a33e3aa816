"""The figure of a neuron draws its box, its weights and the products."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_jax.analysis.neuron import Neuron
from cnn_jax.report import figure_style
from cnn_jax.report.neuron_figure import build_neuron, strongest_slices


def neuron_of(depth, weights=True):
    random = np.random.default_rng(0)
    patch, kernel = random.standard_normal((2, 3, 3, depth)).astype(np.float32)
    return Neuron(
        position=(2, 4, 1),
        box=(1, 4, 3, 6),
        patch=patch,
        weights=kernel if weights else None,
        bias=0.5,
        output=float((patch * kernel).sum()) + 0.5,
        activation=1.0,
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [1, 3, 40])
def test_the_box_is_around_the_pixels_that_the_neuron_sees(depth, channels):
    one = neuron_of(depth)
    made = []

    def build(*arguments):
        made.append(build_neuron(*arguments))
        return made[-1]

    image = np.full((16, 16, channels), 99, np.uint8)
    picture = figure_style.picture(build, image, one, strongest_slices(one), "row 2, $ 5")
    assert picture.shape[2] == 3 and picture.shape[1] == 525
    axes = made[-1].axes
    assert len(axes) == 4
    box = axes[0].patches[-1].get_bbox()
    assert (box.y0, box.y1, box.x0, box.x1) == (0.5, 3.5, 2.5, 5.5)
    products = axes[3].images[0].get_array()
    np.testing.assert_allclose(products, (one.patch * one.weights).sum(2), rtol=1e-6)
    assert f"sum {one.output - 0.5:.2f}, bias 0.50: {one.output:.2f}" in axes[3].get_xlabel()


def test_a_pool_has_no_weights():
    one = neuron_of(1, weights=False)
    assert len(build_neuron(np.zeros((8, 8, 3), np.uint8), one, [0], "pool").axes) == 2


def test_the_slices_that_count_most_are_drawn():
    one = neuron_of(40)
    products = np.abs(one.patch * one.weights).sum((0, 1))
    assert strongest_slices(one) == sorted(products.argsort()[-16:].tolist())

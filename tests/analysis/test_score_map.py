"""A net on larger images, in one pass."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.analysis.score_map import score_map
from cnn_jax.analysis.volumes import volumes
from cnn_jax.errors import UserError


def test_a_map_holds_the_scores_of_every_part():
    """LeNet pads nowhere, and its pools halve twice: neighbours are four pixels apart."""
    net = models.LeNet(num_classes=10)
    images = jax.random.normal(jax.random.key(1), (2, 48, 40, 3))
    variables = net.init(jax.random.key(0), images[:, :32, :32], train=False)
    found = score_map(net, variables, images, (32, 32, 3))
    assert found.shape == (2, 5, 3, 10)
    for row in range(5):
        for column in range(3):
            part = images[:, 4 * row : 4 * row + 32, 4 * column : 4 * column + 32]
            expected = net.apply(variables, part, train=False)
            np.testing.assert_allclose(found[:, row, column], expected, rtol=1e-4, atol=1e-5)


def test_one_pass_takes_fewer_multiply_adds_than_the_parts_do():
    """The lesson's numbers: convolutions by hand, and three fully connected layers at 25 places."""
    dense = 400 * 120 + 120 * 84 + 84 * 10
    apart = 28**2 * 6 * 75 + 10**2 * 16 * 150 + dense
    assert apart == volumes(models.LeNet(num_classes=10), (32, 32, 3)).multiply_adds == 651_720
    assert 25 * apart == 16_293_000
    assert 44**2 * 6 * 75 + 18**2 * 16 * 150 + 25 * dense == 3_121_800


def test_a_map_of_an_image_of_the_net_s_size_is_its_scores():
    net = models.ConvNet(widths=(4, 8), hidden=16, num_classes=10)
    images = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    variables = net.init(jax.random.key(0), images, train=False)
    found = score_map(net, variables, images, (32, 32, 3))
    assert found.shape == (2, 1, 1, 10)
    expected = net.apply(variables, images, train=False)
    np.testing.assert_allclose(found[:, 0, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_net_that_averages_its_last_volume_has_no_such_layer():
    net = models.ResNet(depth=8, num_classes=10)
    with pytest.raises(UserError, match="ResNet has no fully connected layer that takes a volume"):
        score_map(net, {}, np.zeros((1, 64, 64, 3)), (32, 32, 3))

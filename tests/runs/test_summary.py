"""What is drawn of a run at its end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.data import Shapes
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runs.summary import first_kernel


@pytest.fixture
def of_grey_images(dataset):
    """A function from a model to its plan on 32x32x1 images."""

    def make(model):
        facts = DataFacts.of(dataset)
        facts = dataclasses.replace(facts, image_shape=(32, 32, 1), mean=(0.5,), std=(0.5,))
        return Plan.of(Experiment(data=Shapes(), model=model, batch_size=16), facts)

    return make


def test_the_first_layer_is_the_first_that_sees_the_image(of_grey_images, state_of):
    """By name a depthwise kernel 3x3x1xC of the first block comes before it."""
    plan = of_grey_images(models.MobileNet())
    state = state_of(plan)
    assert min(state.params) < "Conv_0"
    np.testing.assert_array_equal(
        first_kernel(plan, state.variables), state.params["Conv_0"]["kernel"]
    )


def test_a_neuron_of_the_regular_network_is_a_filter_of_the_image_s_size(of_grey_images, state_of):
    plan = of_grey_images(models.MLP(hidden=(3,)))
    state = state_of(plan)
    kernel = first_kernel(plan, state.variables)
    assert kernel.shape == (32, 32, 1, 3)
    np.testing.assert_array_equal(kernel[1, 2, 0], state.params["Dense_0"]["kernel"][34])


def test_whitening_filters_are_statistics_of_the_data(of_grey_images, state_of):
    plan = of_grey_images(models.QuickNet(filters=8))
    state = state_of(plan)
    kernel = first_kernel(plan, state.variables)
    np.testing.assert_array_equal(kernel, state.batch_stats["whitening"]["kernel"])

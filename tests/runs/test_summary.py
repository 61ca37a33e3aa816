"""What is written, printed and drawn of a run at its end."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.data import Shapes
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runs.summary import first_kernel, summarise, verdict
from cnn_jax.training.clock import Clock
from cnn_jax.training.evaluator import Evaluation


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


SUMMARY = {
    "test_accuracy": 0.9,
    "test_loss": 0.25,
    "dataset": "pets",
    "train_seconds": 83.0,
    "compile_seconds": 2.0,
}
REST = " on pets (loss 0.25), trained in 1 min 23 s, compiled in 2.0 s"


@pytest.mark.parametrize(
    ("more", "measures"),
    [
        ({}, ""),  # written before these keys existed
        ({"test_balanced_accuracy": 1 / 3, "test_imbalanced": False}, ""),
        (
            {"test_balanced_accuracy": 1 / 3, "test_imbalanced": True},
            ", balanced accuracy 33.33%",
        ),
        ({"test_balanced_accuracy": "high", "test_imbalanced": True}, ""),
        (
            {
                "test_top5_accuracy": 0.99,
                "test_balanced_accuracy": 1 / 3,
                "test_imbalanced": True,
            },
            ", balanced accuracy 33.33%, top-5 accuracy 99.00%",
        ),
        (
            {
                "test_top5_accuracy": 0.99,
                "test_balanced_accuracy": 1 / 3,
                "test_imbalanced": False,
            },
            ", top-5 accuracy 99.00%",
        ),
    ],
)
def test_the_last_line_has_the_measures_that_tell_more_than_accuracy(more, measures):
    assert verdict(SUMMARY | more) == f"test accuracy 90.00%{measures}{REST}"


@pytest.mark.parametrize(
    ("classes", "counts", "further"),
    [
        (3, (4, 1, 1), {"test_balanced_accuracy": 1 / 3, "test_imbalanced": True}),
        (10, (1,) * 10, {"test_balanced_accuracy": 1 / 10, "test_imbalanced": False}),
        (
            11,
            (1,) * 11,
            {
                "test_balanced_accuracy": 1 / 11,
                "test_imbalanced": False,
                "test_top5_accuracy": 5 / 11,
            },
        ),
    ],
)
def test_a_summary_has_the_measures_of_the_test_set(dataset, state_of, classes, counts, further):
    """A net that always scores the classes in their order."""
    facts = dataclasses.replace(DataFacts.of(dataset), classes=tuple("abcdefghijk"[:classes]))
    plan = Plan.of(Experiment(data=Shapes(), model=models.MLP(), batch_size=16), facts)
    labels = np.repeat(np.arange(classes, dtype=np.int32), counts)
    logits = np.tile(-np.arange(classes, dtype=np.float32), (len(labels), 1))
    row = {"split": "train", "step": 4, "images_per_second": 10.0}
    run = SimpleNamespace(
        metrics=SimpleNamespace(rows=lambda: [row]), recipe_name=lambda: "", folder=None
    )
    test = Evaluation(0.5, counts[0] / len(labels), logits, labels)
    summary = summarise(plan, run, test, state_of(plan), plan.total_steps, Clock())
    measured = {key: value for key, value in summary.items() if key.startswith("test_")}
    expected = {"test_accuracy": counts[0] / len(labels), "test_loss": 0.5} | further
    assert measured == pytest.approx(expected)

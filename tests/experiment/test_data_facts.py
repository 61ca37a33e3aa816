"""The facts of a data set, and what a plan takes from them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from planned import FACTS, plan

from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts
from cnn_jax.losses import MulticlassHinge, Softmax


def test_facts_are_those_of_the_data(dataset):
    facts = DataFacts.of(dataset)
    assert (facts.train, facts.validation, facts.test) == (70, 0, 37)
    assert (facts.image_shape, facts.num_classes) == ((8, 8, 3), 10)
    assert (facts.mean, facts.std) == (dataset.mean, dataset.std)
    labels = dataset.train.labels.tolist()
    assert facts.class_counts == tuple(map(labels.count, range(10)))
    assert all(type(count) is int for count in facts.class_counts)


def test_a_class_without_training_images_has_a_count(dataset):
    labels = np.zeros(70, np.int32)
    train = dataclasses.replace(dataset.train, labels=labels)
    facts = DataFacts.of(dataclasses.replace(dataset, train=train))
    assert facts.class_counts == (70, *[0] * 9)


def test_digests_of_facts_from_before_the_class_counts_stay_valid(dataset):
    """transfer/teacher.py hashes this text."""
    facts = DataFacts.of(dataset)
    assert repr(facts) == repr(dataclasses.replace(facts, class_counts=()))
    assert repr(FACTS).endswith("test=10000, fingerprint='0')")


def test_class_weights_are_those_of_the_data():
    facts = dataclasses.replace(FACTS, classes=("cat", "dog"), train=40, class_counts=(30, 10))
    loss = MulticlassHinge(margin=2.0, class_weights="balanced")
    made = plan(facts, loss=loss, batch_size=8)
    assert made.loss == MulticlassHinge(margin=2.0, class_weights=(40 / 60, 2.0))
    assert made.experiment.loss == loss
    assert plan(facts, batch_size=8).loss == Softmax()
    with pytest.raises(UserError) as error:
        plan(facts, loss=Softmax(class_weights=(1.0, 2.0, 3.0)), batch_size=8)
    assert str(error.value) == (
        "loss.class_weights must have 2 values, one for each class, got 3; the classes of cifar10 "
        "are cat, dog"
    )

"""Plans of experiments on the facts of CIFAR-10, without its images."""

from __future__ import annotations

from cnn_jax import models
from cnn_jax.data import Shapes
from cnn_jax.experiment import DataFacts, Experiment, Plan

FACTS = DataFacts(
    name="cifar10",
    classes=tuple("abcdefghij"),
    image_shape=(32, 32, 3),
    mean=(0.5, 0.4, 0.6),
    std=(0.3, 0.2, 0.25),
    train=50_000,
    validation=0,
    test=10_000,
    fingerprint="0",
)


def plan(facts=FACTS, **fields) -> Plan:
    defaults = {"data": Shapes(), "model": models.LeNet()}
    return Plan.of(Experiment(**(defaults | fields)), facts)

"""The experiment, which a recipe states, and the plan derived from it and its data."""

from cnn_jax.experiment.data_facts import DataFacts
from cnn_jax.experiment.definition import Experiment
from cnn_jax.experiment.plan import Plan

__all__ = ["DataFacts", "Experiment", "Plan"]

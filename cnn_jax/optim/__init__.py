"""Optimisers and learning-rate schedules, on optax."""

from cnn_jax.optim.adam import Adam, AdamW
from cnn_jax.optim.lookahead import LookaheadSGD
from cnn_jax.optim.muon import Muon
from cnn_jax.optim.optimizer import Optimizer
from cnn_jax.optim.schedules import Constant, Cosine, Linear, MultiStep, Schedule
from cnn_jax.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "Linear",
    "LookaheadSGD",
    "MultiStep",
    "Muon",
    "Optimizer",
    "Schedule",
]

"""Optimisers, learning-rate schedules and gradient rules, built on optax.

Imports `data`, `ranges` and `errors` only.
"""

from cnn_jax.optim.adaptive import AdaBelief, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop
from cnn_jax.optim.gradients import ASAM, SAM, Accumulate, GradientRule, Plain
from cnn_jax.optim.layerwise import LAMB, LARS
from cnn_jax.optim.lookahead import Lookahead, LookaheadSGD
from cnn_jax.optim.muon import Muon
from cnn_jax.optim.optax_optimizer import Optax
from cnn_jax.optim.optimizer import Optimizer
from cnn_jax.optim.schedule_free import ScheduleFree, ScheduleFreeAdamW, ScheduleFreeSGD
from cnn_jax.optim.schedules import Constant, Cosine, Linear, MultiStep, Schedule
from cnn_jax.optim.sgd import SGD

__all__ = [
    "ASAM",
    "LAMB",
    "LARS",
    "SAM",
    "SGD",
    "Accumulate",
    "AdaBelief",
    "Adagrad",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "GradientRule",
    "Linear",
    "Lion",
    "Lookahead",
    "LookaheadSGD",
    "MultiStep",
    "Muon",
    "NAdam",
    "Optax",
    "Optimizer",
    "Plain",
    "RAdam",
    "RMSprop",
    "Schedule",
    "ScheduleFree",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
]

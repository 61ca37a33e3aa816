"""Optimisers, learning-rate schedules and gradient rules, on optax."""

from cnn_jax.optim.adam import Adam, AdamW
from cnn_jax.optim.adam_relatives import AdaBelief, NAdam, RAdam
from cnn_jax.optim.gradients import ASAM, SAM, Accumulate, GradientRule, Plain
from cnn_jax.optim.layerwise import LAMB, LARS
from cnn_jax.optim.lion import Lion
from cnn_jax.optim.lookahead import Lookahead, LookaheadSGD
from cnn_jax.optim.muon import Muon
from cnn_jax.optim.optimizer import Optimizer
from cnn_jax.optim.root_mean_square import Adagrad, RMSprop
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
    "Optimizer",
    "Plain",
    "RAdam",
    "RMSprop",
    "Schedule",
    "ScheduleFree",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
]

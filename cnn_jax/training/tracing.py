"""Traces the training step for the shapes of a plan's data, before any state exists."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.stages import Lowered

from cnn_jax.data.resident import Resident
from cnn_jax.errors import blamed_on
from cnn_jax.experiment import Plan
from cnn_jax.runtime.parallel import Parallel
from cnn_jax.training import component_checks
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import train_step

_COLLECTIONS = "training keeps the collections params and batch_stats of a model, and no others"
# Explanations for authors of custom models and other components, by the name of the error.
HINTS = {
    "InvalidRngError": "the only random stream in training is 'dropout'",
    "ModifyScopeVariableError": _COLLECTIONS,
    "ScopeCollectionNotFound": _COLLECTIONS,
    "ScopeParamNotFoundError": "parameters are initialised by a call with train=False",
    "TracerBoolConversionError": "a compiled step can't branch on an array: see jnp.where",
}


def lowered_step(plan: Plan, devices: Parallel, state: TrainState, teacher: Any = None) -> Lowered:
    """The training step, ready to compile.

    Its arguments are the placed state, training set, order of the epoch, random keys and teacher.

    Args:
      plan: The run's plan.
      devices: How a step is spread over the devices.
      state: The train state, in shapes.
      teacher: The teacher's variables; None without distillation.

    Raises:
      UserError: a component of the experiment returns a wrong shape or dtype, or fails in the
        user's own code.
    """
    images = jax.ShapeDtypeStruct((plan.data.train, *plan.data.image_shape), jnp.uint8)
    labels = order = jax.ShapeDtypeStruct((plan.data.train,), jnp.int32)
    keys = jax.eval_shape(lambda: streams(0))
    shapes = devices.shapes((state, Resident(images, labels), order, keys, teacher))
    with blamed_on("a training step", HINTS):
        lowered = devices.lower(functools.partial(train_step, plan), *shapes)
    component_checks.check_state_unchanged(shapes[0], lowered.out_info[0])
    return lowered

"""The training step of a plan, traced for its data's shapes, before there is any data or state."""

from __future__ import annotations

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
from jax.stages import Lowered

from cnn_jax.data.resident import Resident
from cnn_jax.errors import UserError, first_line, place_of
from cnn_jax.experiment import Plan
from cnn_jax.runtime.parallel import Parallel
from cnn_jax.training import component_checks
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import train_step

_COLLECTIONS = "what training keeps of a model are the collections params and batch_stats"
# What may be new to whoever has written a model or another part, by the error that it makes.
HINTS = {
    "InvalidRngError": "in training the one stream of random numbers is 'dropout'",
    "ModifyScopeVariableError": _COLLECTIONS,
    "ScopeCollectionNotFound": _COLLECTIONS,
    "ScopeParamNotFoundError": "parameters are made by a call with train=False",
    "TracerBoolConversionError": "a compiled step can't branch on an array: see jnp.where",
}


def lowered_step(plan: Plan, way: Parallel, state: TrainState, teacher: Any = None) -> Lowered:
    """The training step, to be compiled.

    Its arguments are the placed state, training set, order of the epoch, streams and teacher.

    Args:
      plan: The run's plan.
      way: How its steps are spread over the devices.
      state: Its state, in shapes.
      teacher: The teacher's variables, where the run distils.

    Raises:
      UserError: a part of the experiment gives back something else than it must, or fails in the
        user's own code.
    """
    images = jax.ShapeDtypeStruct((plan.data.train, *plan.data.image_shape), jnp.uint8)
    labels = order = jax.ShapeDtypeStruct((plan.data.train,), jnp.int32)
    keys = jax.eval_shape(lambda: streams(0))
    shapes = way.shapes((state, Resident(images, labels), order, keys, teacher))
    try:
        lowered = way.lower(functools.partial(train_step, plan), *shapes)
    except UserError:
        raise
    except Exception as error:
        place = place_of(error)
        if not place:
            raise
        kind = type(error).__name__
        said = re.sub(r"\.? \(https://\S+\)", "", first_line(error))  # where Flax explains it
        hint = f"; {HINTS[kind]}" if kind in HINTS else ""
        raise UserError(f"a training step fails at {place}: {kind}: {said}{hint}") from error
    component_checks.check_kept(shapes[0], lowered.out_info[0])
    return lowered

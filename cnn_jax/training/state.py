"""The state of a run: all that a step changes, and all that a checkpoint holds."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from cnn_jax import config, ops
from cnn_jax.errors import UserError, told
from cnn_jax.experiment import Plan
from cnn_jax.optim.averages import average_of_one
from cnn_jax.optim.schedule_free import averaged
from cnn_jax.training.metric_sums import Sums
from cnn_jax.training.random_keys import streams


@struct.dataclass
class TrainState:
    """A pytree of arrays.

    Attributes:
      step: i32[], steps taken.
      params: What the gradient trains.
      batch_stats: Statistics of the data: BatchNorm's running averages, frozen whitening filters.
      opt_state: The optimiser's.
      metrics: Sums over the current epoch's examples so far.
      ema: Moving averages `{"params", "batch_stats"}`; None where the experiment asks for none.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    metrics: Sums
    ema: Any = None

    @property
    def variables(self) -> dict[str, Any]:
        """What the model is applied to outside of training: averages, where the run makes any."""
        if self.ema is not None:
            return self.ema
        return {"params": averaged(self.params, self.opt_state), "batch_stats": self.batch_stats}


# Images that a model may look at when it is initialised (the whitening filters do).
INIT_IMAGES = 5000
# A kernel's random numbers run for a moment, but take half a second each to compile well.
IN_A_HURRY = {"xla_backend_optimization_level": 0}


def first_state(plan: Plan, images: np.ndarray) -> TrainState:
    """`init_state` of the experiment's seed and the first of the training images, compiled."""
    options = IN_A_HURRY if jax.default_backend() == "cpu" else None
    init = jax.jit(functools.partial(init_state, plan), compiler_options=options)
    return init(streams(plan.experiment.seed).init, images[:INIT_IMAGES])


def init_state(plan: Plan, key: jax.Array, images: jax.Array) -> TrainState:
    """The state before the first step.

    Args:
      plan: The run's plan.
      key: The seed's `init` stream.
      images: u8[N,H,W,C], the first training images.
    """
    with ops.stock():  # only shapes and the filters' statistics are needed of this pass
        variables = plan.model.init(key, plan.normalize(images), train=False)
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    ema = average_of_one({"params": params, "batch_stats": batch_stats})
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=plan.tx.init(params),
        metrics=Sums.zero(),
        ema=ema if plan.experiment.ema else None,
    )


def state_shapes(plan: Plan) -> TrainState:
    """The train state in shapes, by abstract evaluation.

    Raises:
      UserError: the model cannot take the images.
    """
    images = jax.ShapeDtypeStruct((1, *plan.data.image_shape), jnp.uint8)
    key = jax.eval_shape(lambda: streams(0).init)
    try:
        return jax.eval_shape(functools.partial(init_state, plan), key, images)
    except UserError:
        raise
    except Exception as error:
        shape = "x".join(map(str, plan.data.image_shape))
        raise UserError(
            f"model {config.to_text(plan.model)} can't take images of {shape}: {told(error)}"
        ) from error

"""The train state: everything that a step changes, and that a checkpoint holds."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from cnn_jax import config, ops
from cnn_jax.config.names import NAMES
from cnn_jax.data.dataset import Images
from cnn_jax.errors import UserError, located_message, shape_text
from cnn_jax.experiment import Plan
from cnn_jax.optim.averages import initial_average
from cnn_jax.optim.schedule_free import eval_params
from cnn_jax.training.metric_sums import Sums
from cnn_jax.training.random_keys import streams


@struct.dataclass
class TrainState:
    """A pytree of arrays.

    Attributes:
      step: i32[], steps taken.
      params: The trained parameters.
      batch_stats: Statistics of the data: BatchNorm's running averages, frozen whitening filters.
      opt_state: The optimiser's state.
      metrics: Sums over the current epoch's examples so far.
      ema: Moving averages `{"params", "batch_stats"}`; None without `ema`.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    metrics: Sums
    ema: Any = None

    @property
    def variables(self) -> dict[str, Any]:
        """The variables for validation, test and prediction: the averages if the run keeps any."""
        if self.ema is not None:
            return self.ema
        return {"params": eval_params(self.params, self.opt_state), "batch_stats": self.batch_stats}


# Training images passed to the model's initialisation, and their bytes: the whitening filters use
# them. Images of up to 66x66x3 are limited by their number.
INIT_IMAGES, INIT_BYTES = 5000, 2**26
# Initialisation runs once: optimising it would take half a second of compile time per kernel.
NO_OPTIMIZATION = {"xla_backend_optimization_level": 0}


def first_state(plan: Plan, images: Images) -> TrainState:
    """The initial state for the experiment's seed and the first training images, jitted."""
    options = NO_OPTIMIZATION if jax.default_backend() == "cpu" else None
    init = jax.jit(functools.partial(init_state, plan), compiler_options=options)
    number = max(1, min(INIT_IMAGES, INIT_BYTES // math.prod(plan.data.image_shape)))
    return init(streams(plan.experiment.seed).init, images[:number])


def init_state(plan: Plan, key: jax.Array, images: jax.Array) -> TrainState:
    """The state before the first step, as a pure function.

    Args:
      plan: The run's plan.
      key: The seed's `init` key.
      images: u8[N,H,W,C], the first training images.
    """
    with ops.stock():  # only shapes and whitening statistics are used of this pass
        variables = plan.model.init(key, plan.normalize(images), train=False)
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    ema = initial_average({"params": params, "batch_stats": batch_stats})
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
        raise UserError(
            f"model {config.to_text(plan.model, NAMES)} can't take images of "
            f"{shape_text(plan.data.image_shape)}: {located_message(error)}"
        ) from error

"""Draws the order of an epoch's examples, by the experiment's `sampling`."""

import jax
import numpy as np

from cnn_jax.data.resident import drawn_order
from cnn_jax.experiment import Plan


def draw_order(
    plan: Plan, key: jax.Array, epoch: jax.Array, labels: jax.Array | np.ndarray
) -> jax.Array:
    """Returns i32[N], the examples of an epoch in the order of its steps; a pure function.

    Training and benchmarks draw their orders here.

    Args:
      plan: The run's plan.
      key: The run's `order` key.
      epoch: i32[], number of completed epochs.
      labels: i32[N], those of the training set; only "balanced" depends on their values.
    """
    return drawn_order(
        plan.experiment.sampling,
        key,
        epoch,
        labels,
        classes=plan.data.num_classes,
        drawn=plan.examples_per_epoch,
    )

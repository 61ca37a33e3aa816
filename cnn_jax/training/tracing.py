"""Traces the training step for the shapes of a plan's data, before any state exists."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.stages import Compiled, Lowered

from cnn_jax.data.resident import Resident
from cnn_jax.data.streamed import Streamed
from cnn_jax.errors import UserError, blamed_on
from cnn_jax.experiment import Plan
from cnn_jax.runtime.parallel import Parallel
from cnn_jax.training import component_checks
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import train_step


class LoweredSteps(NamedTuple):
    """The programs that advance a run, ready to compile; both take the same arguments.

    Attributes:
      full: The step of a full batch.
      partial: The step of an epoch's smaller last batch; None if no step of the run takes one.
    """

    full: Lowered
    partial: Lowered | None

    def compile(self) -> tuple[Compiled, Compiled | None]:
        """Compiles both."""
        return self.full.compile(), self.partial.compile() if self.partial else None


def lowered_steps(
    plan: Plan, devices: Parallel, state: TrainState, teacher: Any = None
) -> LoweredSteps:
    """The steps of a run, traced; the arguments and errors are those of `lowered_step`."""
    full = lowered_step(plan, devices, state, teacher)
    if not plan.partial_batch:
        return LoweredSteps(full, None)
    with _in_partial_batch(plan.partial_batch):
        partial = lowered_step(plan, devices, state, teacher, plan.partial_batch)
    return LoweredSteps(full, partial)


@contextlib.contextmanager
def _in_partial_batch(examples: int) -> Iterator[None]:
    """A block that traces an epoch's last batch; its errors say so."""
    try:
        with nn.intercept_methods(component_checks.check_norm):
            yield
    except UserError as error:
        raise UserError(
            f"drop_last=False leaves {examples:,} examples for an epoch's last batch: {error}; set "
            "drop_last=True, or another batch_size"
        ) from error


def lowered_step(
    plan: Plan,
    devices: Parallel,
    state: TrainState,
    teacher: Any = None,
    examples: int | None = None,
) -> Lowered:
    """The training step, ready to compile.

    Its arguments are the placed state, training set (or, of one that is streamed, the batch), order
    of the epoch, random keys and teacher.

    Args:
      plan: The run's plan.
      devices: How a step is spread over the devices.
      state: The train state, in shapes.
      teacher: The teacher's variables; None without distillation.
      examples: Size of the batch; default: the experiment's. If the devices do not divide it, each
        of them computes all of it.

    Raises:
      UserError: a component of the experiment returns a wrong shape or dtype, or fails in the
        user's own code.
    """
    size = examples or plan.experiment.batch_size
    labels = order = jax.ShapeDtypeStruct((plan.data.train,), jnp.int32)
    if plan.data.streamed:
        data = devices.batch_shapes(Streamed.shapes(size, plan.data.image_shape))
    else:
        images = jax.ShapeDtypeStruct((plan.data.train, *plan.data.image_shape), jnp.uint8)
        data = devices.shapes(Resident(images, labels))
    keys = jax.eval_shape(lambda: streams(0))
    state, order, keys, teacher = devices.shapes((state, order, keys, teacher))
    with blamed_on("a training step", component_checks.HINTS):
        step = functools.partial(train_step, plan, examples=examples)
        whole = bool(size % len(devices.devices))
        lowered = devices.lower(step, state, data, order, keys, teacher, whole=whole)
    component_checks.check_state_unchanged(state, lowered.out_info[0])
    return lowered

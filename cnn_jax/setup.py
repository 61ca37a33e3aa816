"""What a run needs before its next step: found and checked before anything is written."""

from __future__ import annotations

import dataclasses
from typing import Any

from jax.stages import Lowered

from cnn_jax import config
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runs.folder import Run
from cnn_jax.runs.restoring import state_shapes
from cnn_jax.runtime.parallel import Parallel, parallel
from cnn_jax.training.state import TrainState
from cnn_jax.training.tracing import lowered_step
from cnn_jax.transfer.initial_weights import Arrays, weights_to_begin_with
from cnn_jax.transfer.teacher import with_teacher


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A run that can begin, or go on.

    Attributes:
      plan: Its plan.
      way: How its steps are spread over the devices.
      shapes: Its state, in shapes.
      teacher: Its teacher's variables, if it has one.
      given: The weights to begin with, if others than random ones.
    """

    plan: Plan
    way: Parallel
    shapes: TrainState
    teacher: Any = None
    given: Arrays | None = None

    def lowered_step(self) -> Lowered:
        """The training step, traced: see `lowering`."""
        return lowered_step(self.plan, self.way, self.shapes, self.teacher)


def prepare(
    experiment: Experiment,
    data: DataFacts,
    recipe: config.Recipe | None = None,
    run: Run | None = None,
) -> Prepared:
    """Finds what a run needs, and refuses what can't work; nothing is written or compiled.

    Args:
      experiment: What is to be trained.
      data: The facts of its data.
      recipe: Where the experiment comes from, for classes of its own.
      run: The run if it may have begun already: no weights to begin with are read for one that has,
        and no teacher for one that has finished.

    Raises:
      UserError: the experiment does not fit the data, the devices, its teacher or its `init_from`.
      CheckpointError: the weights of one of those are damaged.
    """
    plan = Plan.of(experiment, data)
    way = parallel(experiment.parallel, experiment.batch_size)
    shapes = state_shapes(plan)  # refuses a model that can't take the images
    if run and run.summary():
        return Prepared(plan, way, shapes)
    plan, teacher = with_teacher(plan, recipe)
    given = None
    if experiment.init_from and not (run and run.checkpoints().steps()):
        given = weights_to_begin_with(plan, recipe)
    return Prepared(plan, way, shapes, teacher, given)

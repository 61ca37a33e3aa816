"""Finds and checks everything that a run needs, before anything is written or compiled."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Self

import jax

from cnn_jax import config
from cnn_jax.data import DataConfig, Dataset
from cnn_jax.errors import UserError, blamed_on
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import cluster, jax_settings
from cnn_jax.runtime.parallel import Parallel, parallel
from cnn_jax.training import stream
from cnn_jax.training.clock import Clock
from cnn_jax.training.state import TrainState, first_state, state_shapes
from cnn_jax.training.tracing import LoweredSteps, lowered_steps
from cnn_jax.transfer.initial_weights import Arrays, load_initial_weights, with_initial_weights
from cnn_jax.transfer.teacher import teacher_digest, with_teacher


def _loaded(source: DataConfig, data_dir: str | None) -> Dataset:
    data: Any = source.load(data_dir)
    if not isinstance(data, Dataset):
        raise UserError(
            f"data: {type(source).__name__}.load must return a Dataset, got {type(data).__name__}"
        )
    return data


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """What a run needs, found and checked.

    Attributes:
      plan: The run's plan.
      data: Its data.
      note: A line for the user on how the data was chosen; "" if there is nothing to report.
      parallel: How a step is spread over the devices.
      shapes: The train state, in shapes.
      teacher: The teacher's variables; None without distillation.
      initial_weights: The arrays that `init_from` names; None for random initial weights.
    """

    plan: Plan
    data: Dataset
    note: str
    parallel: Parallel
    shapes: TrainState
    teacher: Any = None
    initial_weights: Arrays | None = None

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        recipe: config.Recipe | None = None,
        data_dir: str | None = None,
        *,
        run: Run | None = None,
        loaded: dict[str, Dataset] | None = None,
        weights: bool = True,
        devices: Sequence[jax.Device] | None = None,
    ) -> Self:
        """Loads the data and checks the experiment against it; writes and compiles nothing.

        Args:
          experiment: What is to be trained.
          recipe: Where the experiment and the run's own classes come from.
          data_dir: Where TFDS data is; default: `$TFDS_DATA_DIR`, then `~/tensorflow_datasets`.
          run: The run, if it may have begun before. A run with checkpoints needs no initial
            weights, and a finished one no teacher either: they are not read.
          loaded: Data sets loaded before, by the text of their config; new ones are added.
          weights: Whether to read the teacher and the initial weights.
          devices: The devices; None: all of the job's.

        Raises:
          UserError: the experiment does not fit the data, the devices, its teacher or `init_from`,
            or JAX has a setting that training cannot work under.
          SystemExit: the user's script, which lacks a main guard, is imported by a worker.
          DataUnavailable: the data is not there and cannot be downloaded.
          CheckpointError: the weights of the teacher or of `init_from` are damaged.
        """
        stream.leave_if_starting()
        jax_settings.check()
        config.check(experiment, "experiment")
        if run and not (cluster.leads() and run.exists()):
            run = None  # what is in its folder now may be of another run, or of process 0
        experiment = run.with_recorded_paths(experiment, recipe) if run else experiment
        with blamed_on("data", component=experiment.data):
            source, note = experiment.data.resolve(data_dir)
        experiment = dataclasses.replace(experiment, data=source)
        loaded = {} if loaded is None else loaded
        name = config.to_text(source)
        if name not in loaded:
            with blamed_on("data", component=source):
                loaded[name] = _loaded(source, data_dir)
        data = loaded[name]
        plan = Plan.of(experiment, DataFacts.of(data))
        spread = parallel(experiment.parallel, experiment.batch_size, devices)
        shapes = state_shapes(plan)
        teacher = initial_weights = None
        if weights and not (run and run.summary()):
            plan, teacher = with_teacher(plan, recipe)
            begins = cluster.leads() and not (run and run.checkpoints().steps())
            if experiment.init_from and begins:
                initial_weights = load_initial_weights(plan, recipe)
        return cls(plan, data, note, spread, shapes, teacher, initial_weights)

    @functools.cached_property
    def lowered_steps(self) -> LoweredSteps:
        """The training steps, traced once. Raises UserError if a component cannot take a step."""
        return lowered_steps(self.plan, self.parallel, self.shapes, self.teacher)

    @functools.cached_property
    def teacher_digest(self) -> str | None:
        """The digest of the teacher's experiment, data and weights; None without a teacher."""
        return teacher_digest(self.plan.teacher, self.teacher) if self.plan.teacher else None

    def first_state(self, clock: Clock) -> tuple[TrainState, str]:
        """The state before the first step, and a line on the initial weights ("" if random)."""
        with clock.compiling():
            state = first_state(self.plan, self.data.train.images)
        if self.initial_weights is None:
            return state, ""
        return with_initial_weights(self.plan, state, self.initial_weights)

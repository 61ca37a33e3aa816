"""Restores a run: its experiment, data and state, and the step that its result belongs to."""

import logging
import os
import sys

from cnn_jax import config, data
from cnn_jax.config.names import NAMES
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runs.checkpoint import CheckpointError, Checkpoints
from cnn_jax.runs.data_changes import differences
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.workdir import Run
from cnn_jax.storage import json_checks
from cnn_jax.training.state import TrainState, state_shapes

LOG = logging.getLogger(__name__)


Known = str | os.PathLike[str] | config.Recipe | Experiment | None


def restore(workdir: str | os.PathLike[str], recipe: Known = None) -> tuple[Experiment, TrainState]:
    """A run's experiment and its trained state; to apply the model, see `restore_plan`.

    Args:
      workdir: The run's folder.
      recipe: Where custom classes of the run are defined, if it has any: its recipe (also by name
        or path), or an experiment that uses them.

    Raises:
      UserError: there is no run, or it needs its recipe.
      CheckpointError: nothing was saved yet, or every checkpoint is damaged.
    """
    plan, state = restore_plan(workdir, recipe)
    return plan.experiment, state


def restore_plan(workdir: str | os.PathLike[str], recipe: Known = None) -> tuple[Plan, TrainState]:
    """A run's plan and its trained state; arguments and errors are those of `restore`.

    For images u8[B,H,W,C], the scores f32[B,K] are
    `plan.model.apply(state.variables, plan.normalize(images), train=False)`.
    """
    run = Run(workdir)
    if isinstance(recipe, str | os.PathLike):
        recipe = config.load(os.fspath(recipe), NAMES)
    plan = run.plan(recipe)
    return plan, trained_state(run, plan)


def run_data(plan: Plan, data_dir: str | None = None) -> data.Dataset:
    """Loads the data of a run again.

    Raises:
      DataUnavailable: the data is not there.
      RunError: the data has changed; the message says how.
    """
    try:
        loaded = plan.experiment.data.load(data_dir)
    except data.DataUnavailable as error:
        if not config.local_paths(plan.experiment.data):
            raise
        raise data.DataUnavailable(
            f"{error}; if the data has moved, repeat the training command with its new path, which "
            "the run then records"
        ) from error
    if loaded.fingerprint != plan.data.fingerprint:
        raise RunError(
            f"the data {plan.data.name} has changed since the run was trained on it "
            f"({differences(plan.data, DataFacts.of(loaded))}): restore it, or score it as it is "
            "with --mode=evaluate --config.data=..."
        )
    return loaded


def trained_state(run: Run, plan: Plan) -> TrainState:
    """The state that the run's result belongs to: the last, or the best with `keep_best`.

    If the last checkpoint is lost, an older state is returned, with a warning.

    Raises:
      CheckpointError: nothing was saved yet, every checkpoint is damaged, or the best one is lost.
    """
    checkpoints = run.checkpoints(plan.experiment.keep_best)
    # While a run trains, its log may be ahead of its checkpoints.
    newest = sys.maxsize if run.summary() else max(checkpoints.steps(), default=0)
    if plan.experiment.keep_best:
        step = checkpoints.best()
        lost = lost_best(run, plan, checkpoints, step, max(newest, step or 0))
        if lost:
            raise CheckpointError(lost)
    else:
        step = checkpoints.latest()
    if step is None:
        raise CheckpointError(f"{run.folder} holds no checkpoint to restore")
    try:
        state, _ = checkpoints.restore(step, state_shapes(plan))
    except CheckpointError:
        if step in checkpoints.steps():
            raise
        return trained_state(run, plan)  # a training process removed it: there is a newer one
    checkpoints.close()
    tested = tested_step(run, plan)
    if tested not in (None, step):
        LOG.warning(
            f"{run.folder}: the result belongs to step {tested:,}, whose checkpoint is lost: "
            f"restored step {step:,} instead"
        )
    return state


def tested_step(run: Run, plan: Plan) -> int | None:
    """The step whose weights were tested; None if that is unknown."""
    summary = run.summary()
    if not summary:
        return None
    return _best_step(run, plan) if plan.experiment.keep_best else summary["steps"]


def lost_best(run: Run, plan: Plan, checkpoints: Checkpoints, step: int | None, newest: int) -> str:
    """Describes why the best checkpoint, by the log up to a step, is lost; "" if it is not.

    Args:
      run: The run, which has validation images.
      plan: Its plan.
      checkpoints: Its checkpoints.
      step: The best checkpoint that exists; None: there is none.
      newest: The last step of the log to consider.
    """
    best = _best_step(run, plan, newest)
    if best in (None, step):
        return ""
    measure = plan.experiment.select_by.replace("_", " ")
    problem = checkpoints.problem(best) or f"its validation {measure} is not the one logged"
    return (
        f"{run.folder}: step {best:,} was the best on validation, and its checkpoint is lost: "
        f"{problem}"
    )


def _best_step(run: Run, plan: Plan, newest: int = sys.maxsize) -> int | None:
    """The newest step with the highest validation measure in the log; None without any."""
    check_log(run, plan, newest)
    measure = plan.experiment.select_by
    rows = [row for row in run.metrics.rows() if row["split"] == "validation"]
    measured = [(row[measure], row["step"]) for row in rows if row["step"] <= newest]
    return max(measured)[1] if measured else None


def check_log(run: Run, plan: Plan, step: int, logged: int | None = None) -> None:
    """Raises UserError if the log up to a step is damaged, or lacks the measure `select_by`.

    Args:
      run: The run.
      plan: Its plan.
      step: The step, such as a checkpoint's.
      logged: Number of rows at that step; None: unknown.
    """
    run.metrics.check(step, logged)
    for row in run.metrics.rows():
        if row["split"] == "validation" and row["step"] <= step:
            fault = json_checks.fault(row, **{plan.experiment.select_by: json_checks.NUMBER})
            if fault:
                raise RunError(f"{run.metrics.path}: a row of step {row['step']:,}: {fault}")

"""Runs, restored: experiment, data and state, and which step their result is of."""

from __future__ import annotations

import logging
import os
import sys

from cnn_jax import config, data
from cnn_jax.config.names import NAMES
from cnn_jax.experiment import Experiment, Plan
from cnn_jax.runs.checkpoint import CheckpointError, Checkpoints
from cnn_jax.runs.folder import Run, RunError
from cnn_jax.training.state import TrainState, state_shapes

LOG = logging.getLogger(__name__)


Known = str | os.PathLike[str] | config.Recipe | Experiment | None


def restore(workdir: str | os.PathLike[str], recipe: Known = None) -> tuple[Experiment, TrainState]:
    """A run's experiment, and its state as trained; `restore_plan` is for applying the model.

    Args:
      workdir: The run's folder.
      recipe: What knows classes of the run's own, if it has any: its recipe, by name or path too,
        or an experiment that is made of them.

    Raises:
      UserError: no run there, or one that needs its recipe.
      CheckpointError: nothing saved yet, or damaged.
    """
    plan, state = restore_plan(workdir, recipe)
    return plan.experiment, state


def restore_plan(workdir: str | os.PathLike[str], recipe: Known = None) -> tuple[Plan, TrainState]:
    """As `restore`, with what the data decides filled in.

    For images u8[B,H,W,C], the scores f32[B,K] are
    `plan.model.apply(state.variables, plan.normalize(images), train=False)`.
    """
    run = Run(workdir)
    if isinstance(recipe, str | os.PathLike):
        recipe = config.load(os.fspath(recipe), NAMES)
    plan = run.plan(recipe)
    return plan, trained_state(run, plan)


def run_data(plan: Plan, data_dir: str | None = None) -> data.Dataset:
    """The data that a run was made on, loaded again.

    Raises:
      RunError: it is not what it was.
    """
    loaded = plan.experiment.data.load(data_dir)
    if loaded.fingerprint != plan.data.fingerprint:
        raise RunError(f"the data of the name {plan.data.name} is not what the run was made on")
    return loaded


def trained_state(run: Run, plan: Plan) -> TrainState:
    """The state that the run's result was measured with: the last, or the best where asked for.

    A warning tells where the last is lost.

    Raises:
      CheckpointError: nothing saved yet, or damaged; or the best by the log is lost.
    """
    checkpoints = run.checkpoints(plan.experiment.keep_best)
    # Of a run that trains, the log may be ahead of the checkpoints.
    newest = sys.maxsize if run.summary() else max(checkpoints.steps(), default=0)
    if plan.experiment.keep_best:
        step = checkpoints.best()
        lost = lost_best(run, checkpoints, step, max(newest, step or 0))
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
        return trained_state(run, plan)  # a process that trains has removed it: there is a newer
    checkpoints.close()
    tested = tested_step(run, plan)
    if tested not in (None, step):
        LOG.warning(
            f"{run.folder}: its result is that of step {tested:,}, whose checkpoint is lost: "
            f"these are the weights of step {step:,}"
        )
    return state


def tested_step(run: Run, plan: Plan) -> int | None:
    """The step whose weights the summary's numbers are of; None where that is not known."""
    summary = run.summary()
    if not summary:
        return None
    return _best_step(run) if plan.experiment.keep_best else summary["steps"]


def lost_best(run: Run, checkpoints: Checkpoints, step: int | None, newest: int) -> str:
    """What is wrong with the best checkpoint by the log up to a step.

    Args:
      run: The run, which has validation images.
      checkpoints: Its checkpoints.
      step: That of the best checkpoint that is there; None: none is.
      newest: The last step of the log that counts.

    Returns:
      "" where `step` is the best by the log too.
    """
    best = _best_step(run, newest)
    if best in (None, step):
        return ""
    problem = checkpoints.problem(best) or "its validation accuracy is not the one logged"
    return (
        f"{run.folder}: step {best:,} was the best on validation, and its checkpoint is lost: "
        f"{problem}"
    )


def _best_step(run: Run, newest: int = sys.maxsize) -> int | None:
    """The step of the highest validation accuracy logged up to a step, the newest such.

    None where none was; raises UserError where a row of the log is damaged.
    """
    run.metrics.check(newest)
    rows = [row for row in run.metrics.rows() if row["split"] == "validation"]
    measured = [(row["accuracy"], row["step"]) for row in rows if row["step"] <= newest]
    return max(measured)[1] if measured else None

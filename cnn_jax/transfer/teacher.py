"""Restores the teacher of a run with distillation from its finished run."""

import dataclasses
from typing import Any

import jax
import numpy as np

from cnn_jax import config
from cnn_jax.data.dataset import combined_digest, digest
from cnn_jax.errors import UserError
from cnn_jax.experiment import Plan
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.trained_run import trained_state
from cnn_jax.runs.workdir import Run


def with_teacher(plan: Plan, recipe: config.Recipe | None = None) -> tuple[Plan, Any]:
    """The plan with its teacher's plan filled in, and the teacher's variables; None without one.

    Args:
      plan: The run's plan.
      recipe: Where custom classes of the run and of its teacher are defined.

    Raises:
      UserError: the teacher's folder holds no finished run, or one on other classes or images.
      CheckpointError: the teacher's weights are damaged.
    """
    distill = plan.experiment.distill
    if distill is None:
        return plan, None
    run = Run(distill.teacher)
    try:
        # As written, so that the teacher's digest does not depend on the working directory.
        teacher = run.plan(recipe, as_written=True)
    except RunError as error:
        raise UserError(f"distill.teacher: {error}") from error
    if not run.summary():
        raise UserError(f"distill.teacher: the run in {run.folder} has not finished")
    for what in ("classes", "image_shape"):
        own, others = (getattr(facts, what) for facts in (plan.data, teacher.data))
        if own != others:
            name = what.replace("_", " ")
            raise UserError(f"distill.teacher: {run.folder} has the {name} {others}, not {own}")
    return dataclasses.replace(plan, teacher=teacher), trained_state(run, teacher).variables


def teacher_digest(teacher: Plan, variables: Any) -> str:
    """Digest of everything that decides a teacher's scores: experiment, data facts and weights."""
    leaves = jax.tree_util.tree_flatten_with_path(variables)[0]
    weights = [f"{jax.tree_util.keystr(path)} {digest(np.asarray(leaf))}" for path, leaf in leaves]
    text = config.to_older_text(teacher.experiment)
    return combined_digest([text, repr(teacher.data), *weights])

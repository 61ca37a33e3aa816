"""Mode evaluate: a run's weights, measured again on the test set."""

from __future__ import annotations

import os
from typing import Any

from cnn_jax import config
from cnn_jax.data import Dataset
from cnn_jax.errors import UserError
from cnn_jax.evaluator import Evaluation, Evaluator
from cnn_jax.experiment import Plan
from cnn_jax.report import figures, tables
from cnn_jax.report.log import write_json
from cnn_jax.runs import Run, trained_state


def evaluate(
    workdir: str | os.PathLike[str],
    *,
    recipe: config.Recipe | None = None,
    data_dir: str | None = None,
    batch_size: int = 500,
    console: Any = None,
) -> Evaluation:
    """Restores a run and scores every test example once; the batch size does not matter.

    Prints the accuracy of each class and the confusion matrix; writes evaluation.json and
    figures/confusion_matrix.png into the run's folder.

    Args:
      workdir: The run's folder.
      recipe: Where classes of the run's own are defined.
      data_dir: Where TFDS data is.
      batch_size: Examples in a step.
      console: A `rich.console.Console`.

    Raises:
      UserError: no run there, or its data is not what it was.
      CheckpointError: nothing saved, or damaged.
    """
    run = Run(workdir)
    plan = run.plan(recipe)
    state = trained_state(run, plan)
    data = _same_data(plan, data_dir)
    result = Evaluator(plan, state.variables, data.test, batch_size)(state.variables)
    counts, per_class = result.confusion(), result.per_class()
    unfinished = "" if run.summary() else f" of {plan.total_steps:,} (unfinished)"
    out = console or tables.console()
    out.print(
        f"{run.folder} at step {int(state.step):,}{unfinished}: "
        f"test accuracy {result.accuracy:.2%} on {plan.data.name} "
        f"({int(counts.trace()):,} of {len(data.test):,}), loss {result.loss:.4f}",
        highlight=False,
    )
    out.print(tables.confusion(counts, plan.data.classes))
    write_json(
        run.folder / "evaluation.json",
        {
            "dataset": plan.data.name,
            "split": "test",
            "step": int(state.step),
            "examples": len(data.test),
            "accuracy": result.accuracy,
            "loss": result.loss,
            "per_class_accuracy": dict(zip(plan.data.classes, per_class, strict=True)),
            "confusion": counts,
        },
    )
    figures.confusion_matrix(
        counts,
        plan.data.classes,
        run.folder / "figures" / "confusion_matrix.png",
        title=f"{plan.data.name} test set",
    )
    return result


def _same_data(plan: Plan, data_dir: str | None) -> Dataset:
    data = plan.experiment.data.load(data_dir)
    if data.fingerprint != plan.data.fingerprint:
        raise UserError(f"the data of the name {plan.data.name} is not what the run was made on")
    return data

"""A run's result: its first and last line, summary.json, and the figures."""

from typing import Any

import jax
import numpy as np

from cnn_jax import config
from cnn_jax.analysis import structure
from cnn_jax.config.names import NAMES
from cnn_jax.experiment import Plan
from cnn_jax.report import figures
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import hardware
from cnn_jax.storage import json_checks
from cnn_jax.terminal.durations import duration
from cnn_jax.training.clock import Clock
from cnn_jax.training.evaluator import Evaluation
from cnn_jax.training.state import TrainState

# With more classes, the top-5 accuracy is reported too.
MANY_CLASSES = 10


def headline(plan: Plan, run: Run, params: Any) -> str:
    """The first line of a run: model, data, size and folder."""
    data = plan.data
    splits = f"{data.train:,} train, {data.validation:,} validation, {data.test:,} test"
    return (
        f"{config.to_text(plan.experiment.model, NAMES)} on {data.name} ({splits}), "
        f"{structure.numbers(params):,} parameters, "
        f"{plan.total_steps:,} steps, {hardware.device_name()} -> {run.folder}"
    )


def verdict(summary: dict[str, Any]) -> str:
    """The last line of a run: its result."""
    further = {"test_top5_accuracy": "top-5 accuracy"}
    if summary.get("test_imbalanced"):
        further = {"test_balanced_accuracy": "balanced accuracy", **further}
    shown = "".join(
        f", {name} {summary[key]:.2%}"
        for key, name in further.items()
        if not json_checks.fault(summary, **{key: json_checks.NUMBER})  # older summaries lack them
    )
    return (
        f"test accuracy {summary['test_accuracy']:.2%}{shown} on {summary['dataset']} "
        f"(loss {summary['test_loss']:.4g}), trained in {duration(summary['train_seconds'])}, "
        f"compiled in {duration(summary['compile_seconds'])}"
    )


def ended_early(plan: Plan, reached: int) -> str:
    """A line for a run that ended by its `patience`; "" if it took all its steps."""
    if reached == plan.total_steps:
        return ""
    epoch = reached // plan.steps_per_epoch
    return f"ended after epoch {epoch}: no new best on validation for {plan.experiment.patience}"


def summarise(
    plan: Plan, run: Run, test: Evaluation, state: TrainState, reached: int, clock: Clock
) -> dict[str, Any]:
    """The content of summary.json.

    Args:
      plan: The run's plan.
      run: The run.
      test: The evaluation on the test set.
      state: The state that was tested, the last or the best.
      reached: Number of steps taken.
      clock: The run's clock.
    """
    validation = {
        row["step"]: row for row in run.metrics.rows() if row["split"] == "validation"
    }.get(int(state.step), {})
    experiment = plan.experiment
    return {
        "recipe": run.recipe_name(),
        "model": config.to_text(experiment.model),
        "dataset": plan.data.name,
        "parameters": structure.numbers(state.params),
        "epochs": experiment.epochs
        if reached == plan.total_steps
        else reached / plan.steps_per_epoch,
        "steps": reached,
        "seed": experiment.seed,
        "precision": plan.experiment.precision,
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
        "test_balanced_accuracy": test.balanced_accuracy(),
        "test_imbalanced": test.imbalanced(),
        **({"test_top5_accuracy": test.top(5)} if plan.data.num_classes > MANY_CLASSES else {}),
        "validation_accuracy": validation.get("accuracy"),
        f"validation_{experiment.select_by}": validation.get(experiment.select_by),
        "train_seconds": clock.seconds(),
        "compile_seconds": clock.compile_seconds,
        "images_per_second": images_per_second(plan, run.metrics.rows()),
        "device": hardware.device_name(),
        "software": hardware.software(),
        "finished": True,
    }


def images_per_second(plan: Plan, rows: list[dict[str, Any]]) -> float:
    """Training throughput over all steps, without evaluation."""
    images, seconds, before = 0, 0.0, 0
    for row in rows:
        if row["split"] == "train":
            these = plan.examples(row["step"]) - plan.examples(before)
            images, seconds, before = (
                images + these,
                seconds + these / row["images_per_second"],
                row["step"],
            )
    return images / seconds


def draw_figures(plan: Plan, run: Run, test: Evaluation, state: TrainState) -> None:
    """Draws the learning curves, the confusion matrix and the first layer's filters."""
    folder = run.folder / "figures"
    figures.learning_curves(run.metrics.rows(), folder / "learning_curves.png")
    figures.confusion_matrix(
        test.confusion(),
        plan.data.classes,
        folder / "confusion_matrix.png",
        title=f"{plan.data.name} test set",
    )
    kernel = first_kernel(plan, state.variables)
    if kernel is not None:
        figures.first_layer_filters(kernel, folder / "first_layer_filters.png")


def first_kernel(plan: Plan, variables: Any) -> np.ndarray | None:
    """The first layer's filters, f32[h,w,C,F]; None if the first layer does not see the image.

    The weights of a fully connected layer are filters of the image's size.
    """
    height, width, channels = plan.data.image_shape
    kinds = ("conv", "fc")
    layers = structure.layers(plan.model, plan.data.image_shape)
    first = next((layer.name for layer in layers if layer.kind in kinds), "")
    for part in variables.values():
        for name in first.split("/") if first else ():
            part = part.get(name, {})
        for leaf in jax.tree.leaves(part):
            if leaf.ndim == 4 and leaf.shape[2] == channels:
                return np.asarray(leaf)
            if leaf.ndim == 2 and leaf.shape[0] == height * width * channels:
                return np.asarray(leaf).reshape(height, width, channels, -1)
    return None

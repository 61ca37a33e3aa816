"""Mode evaluate: evaluates a run on its test set or other data, with calibration and robustness."""

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax import config
from cnn_jax.analysis import calibration
from cnn_jax.augment.test_time import Views
from cnn_jax.config import Command, Flag
from cnn_jax.data import DataConfig
from cnn_jax.errors import UserError
from cnn_jax.experiment import Plan
from cnn_jax.modes.mode import Mode, run_workdir
from cnn_jax.report import confident_errors_figure, figures, robustness_results, tables
from cnn_jax.report.calibration_figure import reliability_diagram
from cnn_jax.robustness.stress_test import one_corrupted, stress, with_views
from cnn_jax.runs import output_paths, scored_images, stored_predictions
from cnn_jax.runs.run_calibration import Calibrated, calibrate, temperature_of
from cnn_jax.runs.scored_images import ScoredImages
from cnn_jax.runs.summary import MANY_CLASSES
from cnn_jax.runs.trained_run import trained_state
from cnn_jax.runs.workdir import Run
from cnn_jax.storage import json_checks
from cnn_jax.storage.json_files import write_json
from cnn_jax.training.evaluator import EVAL_BATCH, Evaluation, Evaluator, eval_batch


def evaluate(
    workdir: str | os.PathLike[str],
    *,
    recipe: config.Recipe | None = None,
    data: DataConfig | None = None,
    data_dir: str | None = None,
    batch_size: int | None = None,
    tta: Views | None = None,
    robustness: bool = False,
    examples: int | None = None,
    console: Any = None,
) -> Evaluation:
    """Restores a run and scores every test example once; the result does not depend on batch_size.

    Prints precision, recall and F1 of each class, the confusion matrix, and the calibration of the
    probabilities. Writes evaluation.json, and in figures/ confusion_matrix.png, mistakes.png (the
    most confident errors) and reliability.png, to the run's folder; those of other data to
    evaluations/NAME/ in it.

    Args:
      workdir: The run's folder.
      recipe: Where custom classes of the run are defined.
      data: Other labelled data to score; None: the run's test set. `runs.other_data` describes
        which images are scored.
      data_dir: Where TFDS data is.
      batch_size: Examples in a step; None: 500, or fewer of more than 64x64 pixels.
      tta: Views of each image whose scores are averaged; None: the run's.
      robustness: Whether to also score other views, corruptions, other test sets and attacks, which
        takes minutes; the results go to evaluation.json, robustness.png and corruptions.png.
      examples: Number of test images that robustness is measured on; None: all.
      console: A `rich.console.Console`.

    Raises:
      UserError: there is no run, its data has changed, or the other data does not suit its net.
      CheckpointError: nothing was saved, or every checkpoint is damaged.
    """
    if data is not None and robustness:
        raise UserError("--robustness is measured on the run's own test set: drop --config.data")
    run = Run(workdir)
    plan = run.plan(recipe)
    for folder in (run.folder, run.folder / "figures", run.folder / "evaluations"):
        output_paths.check_writable(folder)
    if tta is not None:
        plan = with_views(plan, tta)
    state = trained_state(run, plan)
    out = console or tables.console()
    say = functools.partial(out.print, highlight=False, markup=False, soft_wrap=True)
    if data is None:
        scored = scored_images.of_run(run, plan, data_dir)
    else:
        scored = scored_images.of_other_data(run, plan, data, data_dir)
    for note in scored.notes:
        say(note)
    batch_size = batch_size or eval_batch(scored.split.images.shape)
    result = Evaluator(plan, state.variables, scored.split, batch_size)(state.variables)
    counts, classes = result.confusion(), plan.data.classes
    per_class = (result.precision(), result.per_class(), result.f1())

    unfinished = "" if run.summary() else f" of {plan.total_steps:,} (unfinished)"
    views = "" if plan.experiment.tta == "none" else f", tta {plan.experiment.tta}"
    say(
        f"{run.folder} at step {int(state.step):,}{unfinished}: "
        f"{_measures(scored, result)} on {scored.name} "
        f"({int(counts.trace()):,} of {len(scored.split):,}), loss {result.loss:.4f}{views}"
    )
    out.print(tables.per_class(classes, counts, *per_class))
    out.print(tables.confusion(counts, classes))
    fitted = temperature_of(plan, state.variables, scored, batch_size)
    calibrated = calibrate(plan, result, fitted)
    _print_calibration(plan, scored, calibrated, out)
    _draw(plan, scored, result, calibrated)
    stressed = None
    if robustness:
        stressed = stress(
            plan,
            state.variables,
            scored.split,
            result.logits.argmax(1) == result.labels,
            batch_size=batch_size,
            examples=examples,
            data_dir=data_dir,
            console=out,
        )
        for table in robustness_results.to_tables(stressed):
            out.print(table)
        robustness_results.robustness(stressed, run.folder / "figures" / "robustness.png")
        robustness_results.corruption_examples(
            one_corrupted(scored.split), run.folder / "figures" / "corruptions.png"
        )
    scored.folder.mkdir(parents=True, exist_ok=True)
    if data is None and tta is None and run.summary():
        stored_predictions.write(scored.folder, result)
    write_json(
        scored.folder / "evaluation.json",
        {
            "dataset": scored.name,
            "split": scored.part,
            "step": int(state.step),
            "examples": len(scored.split),
            "tta": plan.experiment.tta,
            "accuracy": result.accuracy,
            "balanced_accuracy": result.balanced_accuracy(),
            "top5_accuracy": result.top(5),
            "loss": result.loss,
            "per_class_accuracy": dict(zip(classes, result.per_class(), strict=True)),
            "per_class": {
                name: {"precision": precision, "recall": recall, "f1": f1}
                for name, precision, recall, f1 in zip(classes, *per_class, strict=True)
            },
            "confusion": counts,
            "calibration": calibrated.as_json() if calibrated else None,
            "robustness": stressed or _robustness_before(scored.folder, int(state.step)),
            **scored.record,
        },
    )
    say(f"wrote evaluation.json and figures/ to {scored.folder}")
    return result


def _measures(scored: ScoredImages, result: Evaluation) -> str:
    """The accuracies for the first line: balanced if class sizes differ, top-5 of many classes."""
    measures = {"test accuracy" if scored.part == "test" else "accuracy": result.accuracy}
    if result.imbalanced():
        measures["balanced accuracy"] = result.balanced_accuracy()
    if result.logits.shape[1] > MANY_CLASSES:
        measures["top-5 accuracy"] = result.top(5)
    return ", ".join(f"{name} {value:.2%}" for name, value in measures.items())


def _robustness_before(folder: Path, step: int) -> Any:
    """The robustness that an earlier evaluation of the same weights measured; None without one."""
    content = Run(folder).evaluation()
    if json_checks.fault(content, step=int, tta=str, robustness=dict) or content["step"] != step:
        return None
    return {"tta": content["tta"], **content["robustness"]}  # older files have tta outside only


def _print_calibration(
    plan: Plan, scored: ScoredImages, calibrated: Calibrated | None, out: Any
) -> None:
    if calibrated is None:
        name = type(plan.experiment.loss).__name__
        out.print(f"calibration: not measured, since {name} has no probabilities", highlight=False)
        return
    line = f"calibration: ECE {calibrated.before.ece:.2%} in {len(calibrated.before.counts)} bins"
    if calibrated.after is None or scored.validation is None:
        reason = calibrated.no_temperature
        out.print(f"{line}; no temperature, since {reason}", highlight=False)
        return
    out.print(
        f"{line}, {calibrated.after.ece:.2%} at temperature {calibrated.temperature:.3g}, fitted "
        f"on {len(scored.validation):,} validation images",
        highlight=False,
    )


def _draw(
    plan: Plan, scored: ScoredImages, result: Evaluation, calibrated: Calibrated | None
) -> None:
    folder, classes = scored.folder / "figures", plan.data.classes
    figures.confusion_matrix(
        result.confusion(), classes, folder / "confusion_matrix.png", title=scored.title
    )
    values = calibration.softmax(result.logits) if calibrated else np.asarray(result.logits)
    confident_errors_figure.confident_errors(
        scored.split.images,
        result.labels,
        values,
        classes,
        bool(calibrated),
        folder / "mistakes.png",
    )
    if calibrated:
        reliability_diagram(calibrated.panels(), folder / "reliability.png")


def run(command: Command) -> None:
    """Evaluates the run that --workdir names."""
    flags = command.flags
    if flags.examples is not None and not flags.robustness:
        raise UserError("--examples is for --robustness: the test set is always scored whole")
    workdir, recipe = run_workdir(command, takes="data")
    evaluate(
        workdir,
        recipe=recipe,
        data=command.experiment.data if "data" in command.overridden else None,
        data_dir=flags.data_dir,
        batch_size=flags.eval_batch,
        tta=flags.tta,
        robustness=flags.robustness,
        examples=flags.examples,
    )


MODE = Mode(
    run,
    (
        Flag(
            "eval_batch",
            int | None,
            None,
            f"Examples in a step; default: {EVAL_BATCH}, or fewer of more than 64x64 pixels",
            minimum=1,
        ),
        Flag(
            "tta",
            Views | None,
            None,
            "Views of an image whose scores are averaged (TTA); default: the run's",
        ),
        Flag(
            "robustness",
            bool,
            False,
            "Also score other views, corruptions, other test sets, and attacks; takes minutes",
        ),
        Flag(
            "examples",
            int | None,
            None,
            "Measure the robustness on so many test images; default: all",
            minimum=1,
        ),
    ),
    uses_recipe=False,
)

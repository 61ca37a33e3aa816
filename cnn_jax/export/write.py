"""Exports a run's net as a StableHLO program with its weights and a description."""

import dataclasses
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnn_jax import config
from cnn_jax.analysis import structure
from cnn_jax.config.names import NAMES
from cnn_jax.errors import RunFailed, UserError, first_line
from cnn_jax.experiment import Plan
from cnn_jax.export import artifact
from cnn_jax.report import tables
from cnn_jax.runs import output_paths
from cnn_jax.runs.run_scorer import picture_form
from cnn_jax.runs.trained_run import tested_step, trained_state
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import hardware
from cnn_jax.storage import digests, files
from cnn_jax.storage.json_files import write_json
from cnn_jax.storage.local_paths import local_path
from cnn_jax.training.evaluator import BatchScorer
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import image_scores

PLATFORMS = ("cpu", "cuda", "tpu")
# Largest allowed error of a score, relative to the largest score: more is not rounding.
TOLERANCE = 0.05
CHECKED_IMAGES = 4
# How pictures reach the size, by their `fit`.
PICTURES = {
    "crop": "resized to cover the size, bilinear with antialiasing, and cropped to the centre",
    "pad": "resized to fit inside the size, bilinear with antialiasing, and padded with black",
    "stretch": "resized to the size, bilinear with antialiasing",
}


def export(
    workdir: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    recipe: config.Recipe | None = None,
    console: Any = None,
) -> artifact.Exported:
    """Writes a run's net to a folder that is independent of the run and its recipe.

    The weights are those of the run's result: averaged, or best on validation, if the run keeps
    such weights. Normalisation and test-time views are part of the program, which takes any number
    of images. `artifact.py` lists the files.

    Args:
      workdir: The run's folder.
      folder: Output folder; default: `exported` in the run's folder. It is written atomically and
        replaces an earlier export.
      recipe: The recipe that defines the run's custom classes.
      console: A `rich.console.Console`.

    Returns:
      The exported net, loaded from the written files.

    Raises:
      UserError: there is no run, the folder contains other files, or the net depends on the number
        of images.
      RunFailed: there is no good checkpoint, or the program's scores differ from the run's.
    """
    run = Run(workdir)
    plan = run.plan(recipe)
    target = local_path(folder, "output") if folder else run.folder / "exported"
    _check_free(target)
    state = trained_state(run, plan)
    weights = flatten_dict(jax.device_get(state.variables), sep="/")
    program = lower(plan, weights)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as aside:
        made = Path(aside, "new")
        made.mkdir()
        _write(made, program, weights, _facts(run, plan, state, program))
        exported = artifact.load(made)
        difference = _difference(plan, state, exported)
        _put_in_place(made, target, aside=Path(aside, "old"))
    files.sync(target.parent)
    size = sum(path.stat().st_size for path in target.iterdir())
    net = config.to_text(plan.model, NAMES)
    (console or tables.console()).print(
        f"{net} at step {int(state.step):,} -> {target} ({size / 1e6:.1f} MB)\n"
        f"scores of {CHECKED_IMAGES} random images differ from the run's by up to {difference:.1g}",
        highlight=False,
        soft_wrap=True,
    )
    return exported


def lower(plan: Plan, weights: dict[str, np.ndarray]) -> jax.export.Exported:
    """Exports the program (weights by flat names, u8[B,H,W,C]) -> f32[B,K] for any B and platform.

    It uses stock convolutions. The fast forms of this package split the batch into chunks, so they
    need its size at trace time; and they are tuned for one CPU and XLA version.

    Raises:
      UserError: the net's program depends on the number of images.
    """
    stock = dataclasses.replace(plan.experiment, convolutions="stock")
    plan = dataclasses.replace(plan, experiment=stock)

    def scores(weights: dict[str, jax.Array], images: jax.Array) -> jax.Array:
        return image_scores(plan, unflatten_dict(weights, sep="/"), images)

    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *plan.data.image_shape), jnp.uint8)
    shapes = {name: jax.ShapeDtypeStruct(w.shape, w.dtype) for name, w in weights.items()}
    try:
        return jax.export.export(jax.jit(scores), platforms=PLATFORMS)(shapes, images)
    except Exception as error:  # a symbolic batch size raises several kinds
        reason = first_line(error)
        raise UserError(
            f"{type(plan.model).__name__} can't be exported for any number of images: {reason}"
        ) from error


def _check_free(target: Path) -> None:
    """Makes the parent folder; raises UserError if the target cannot hold an export."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        output_paths.check_writable(target.parent)
        others = {path.name for path in target.iterdir()} - {*artifact.FILES}
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"--output={target}: {error.strerror}") from error
    if others:
        raise UserError(
            f"--output={target} contains files of something else, such as {min(others)}: "
            "choose another folder"
        )


def _put_in_place(made: Path, target: Path, *, aside: Path) -> None:
    """Moves a folder to the target. An old target is moved aside, and back if that fails."""
    try:
        if target.exists():
            target.rename(aside)
        made.rename(target)
    except BaseException:  # a signal too
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise


def _write(
    folder: Path,
    program: jax.export.Exported,
    weights: dict[str, np.ndarray],
    facts: dict[str, Any],
) -> None:
    from safetensors.numpy import save

    files.write_atomically(folder / artifact.PROGRAM, bytes(program.serialize()))
    files.write_atomically(folder / artifact.WEIGHTS, save(weights))
    write_json(folder / artifact.FACTS, facts)
    digests.seal(folder)


def _facts(run: Run, plan: Plan, state: TrainState, program: jax.export.Exported) -> dict[str, Any]:
    """The content of model.json."""
    # Results measured with other weights are left out.
    tested = tested_step(run, plan) == int(state.step)
    summary = (run.summary() or {}) if tested else {}
    experiment, form = plan.experiment, picture_form(plan)
    return {
        "format": artifact.FORMAT,
        "model": config.to_text(plan.model),
        "parameters": structure.numbers(state.params),
        "classes": plan.data.classes,
        "input": {
            "dtype": "uint8",
            "shape": ["batch", *plan.data.image_shape],
            "axes": "batch, height, width, channels",
            "pictures": PICTURES[form.fit],
            "fit": form.fit,
            "decode": form.decode,
        },
        "in_program": {
            "normalize": "(pixel / 255 - mean) / std, of each channel",
            "mean": plan.normalize.mean,
            "std": plan.normalize.std,
            "views": experiment.tta,
            "precision": experiment.precision,
        },
        "output": {
            "dtype": "float32",
            "shape": ["batch", plan.data.num_classes],
            "scores_are_logits": experiment.loss.scores_are_logits,
        },
        "trained": {
            "experiment": run.experiment_text(),
            "recipe": run.recipe_name(),
            "dataset": plan.data.name,
            "data_fingerprint": plan.data.fingerprint,
            "step": int(state.step),
            "finished": bool(summary),
            "test_accuracy": summary.get("test_accuracy"),
            "test_loss": summary.get("test_loss"),
        },
        "platforms": program.platforms,
        "calling_convention_version": program.calling_convention_version,
        "stablehlo_version": _stablehlo_version(program),
        "versions": hardware.software(),
    }


def _stablehlo_version(program: jax.export.Exported) -> str:
    """The oldest StableHLO version that reads the program, from the head of its bytecode."""
    header = program.mlir_module_serialized[:64]
    found = re.search(rb"StableHLO_v([0-9.]+)", header)
    assert found, header
    return found[1].decode()


def _difference(plan: Plan, state: TrainState, exported: artifact.Exported) -> float:
    """The largest difference between the scores of the exported net and of the run.

    Raises:
      RunFailed: the difference is more than rounding.
    """
    shape = (CHECKED_IMAGES, *plan.data.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    scores = BatchScorer(plan, state.variables, CHECKED_IMAGES)(images)
    difference, largest = abs(exported(images) - scores).max(), abs(scores).max()
    if not difference <= TOLERANCE * largest:  # NaN is neither less nor more
        raise RunFailed(
            f"the exported program's scores differ from the run's by {difference:.2g}, "
            f"with a largest score of {largest:.2g}: nothing was written"
        )
    return float(difference)

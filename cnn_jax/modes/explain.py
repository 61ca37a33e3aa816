"""Mode explain: activations, saliency, SmoothGrad and Grad-CAM of a run's net."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax import config
from cnn_jax.config import Command, Flag
from cnn_jax.config.names import NAMES
from cnn_jax.data.pictures.image_files import read_image
from cnn_jax.errors import UserError, shape_text
from cnn_jax.experiment import Plan
from cnn_jax.modes.mode import Mode, as_tuple, run_workdir
from cnn_jax.modes.predict import find
from cnn_jax.report import explanation_figures, figures, tables
from cnn_jax.report.explanation_figures import Explained
from cnn_jax.report.predictions import short_names
from cnn_jax.runs import output_paths
from cnn_jax.runs.attributions import Attributions
from cnn_jax.runs.explanations import activations_of, explain_one
from cnn_jax.runs.run_scorer import picture_form
from cnn_jax.runs.summary import first_kernel
from cnn_jax.runs.trained_run import run_data, trained_state
from cnn_jax.runs.workdir import Run
from cnn_jax.training.step import image_scores

IMAGES = 6  # test images to explain if none are named
MOST = 18  # images that fit on a page
SALIENCY = "Saliency: gradient of the top class's score with respect to each pixel"
SMOOTH_GRAD = "SmoothGrad: mean saliency over noisy copies of the image"
GRAD_CAM = "Grad-CAM: where the last volume ({}, {}) supports the top class"

Example = tuple[str, np.ndarray, int | None]  # name, u8[H,W,C], label if known


def explain(
    workdir: str | os.PathLike[str],
    images: Sequence[int] = (),
    pictures: Sequence[str] = (),
    *,
    recipe: config.Recipe | None = None,
    data_dir: str | None = None,
    console: Any = None,
) -> list[Explained]:
    """Draws activations and attributions of a run's net into the run's `figures/`.

    activations.png shows the volumes of the first image; saliency.png, smooth_grad.png and
    grad_cam.png show which pixels matter for the top class; first_layer_filters.png shows the first
    kernels. Scores and gradients are averaged over the run's views (`tta`); activations and
    Grad-CAM use the image itself, and need a net with convolutions.

    Args:
      workdir: The run's folder.
      images: Indices of test images; without any images and pictures, 6 drawn with the run's seed.
      pictures: Picture files, folders and glob patterns, instead of test images.
      recipe: Where custom classes of the run are defined.
      data_dir: Where TFDS data is.
      console: A `rich.console.Console`.

    Returns:
      The explanation of each image, in order.

    Raises:
      UserError: there is no run, its data has changed, an index is out of range, there are more
        than 18 images, or a picture can't be read.
      CheckpointError: nothing was saved, or every checkpoint is damaged.
    """
    run = Run(workdir)
    plan = run.plan(recipe)
    output_paths.check_writable(run.folder / "figures")
    variables = trained_state(run, plan).variables
    if images and pictures:
        raise UserError("give --images, which are test images, or picture files, not both")
    chosen = _pictures(plan, pictures) if pictures else _test_images(plan, images, data_dir)
    batch = np.stack([image for _, image, _ in chosen]).astype(np.float32)
    scored = np.asarray(jax.jit(functools.partial(image_scores, plan))(variables, batch))
    explained = [explain_one(plan, *one, row) for one, row in zip(chosen, scored, strict=True)]
    out = console or tables.console()
    say = functools.partial(out.print, highlight=False, markup=False, soft_wrap=True)
    for one in explained:
        say(one.caption.replace("\n", ", "))
    folder = run.folder / "figures"
    with out.status("Drawing"):
        drawn = _draw(plan, variables, batch, scored.argmax(1), explained, folder)
    if "grad_cam.png" not in drawn:
        model = config.to_text(plan.experiment.model, NAMES)
        say(f"{model} has no convolution, so it has no activations.png and no grad_cam.png")
    say(f"wrote {', '.join(drawn)} to {folder}")
    return explained


def _pictures(plan: Plan, named: Sequence[str]) -> list[Example]:
    files = find(named)
    _check_room(len(files))
    form = picture_form(plan)
    names = short_names(files)
    return [(name, read_image(f, form), None) for name, f in zip(names, files, strict=True)]


def _test_images(plan: Plan, numbers: Sequence[int], data_dir: str | None) -> list[Example]:
    _check_room(len(numbers))
    test = run_data(plan, data_dir).test
    for number in numbers:
        if not 0 <= number < len(test):
            raise UserError(
                f"--images must be numbers from 0 to {len(test) - 1}, the test images of "
                f"{plan.data.name}, got {number}"
            )
    if not numbers:
        random = np.random.default_rng(plan.experiment.seed)
        numbers = random.choice(len(test), min(IMAGES, len(test)), replace=False).tolist()
    return [(f"test {n}", test.images[n], int(test.labels[n])) for n in numbers]


def _check_room(number: int) -> None:
    if number > MOST:
        raise UserError(f"at most {MOST} images fit on a page, got {number}")


def _draw(
    plan: Plan,
    variables: Any,
    batch: np.ndarray,
    classes: np.ndarray,
    explained: list[Explained],
    folder: Path,
) -> list[str]:
    """Draws the figures that the net has; returns their names."""
    attributions = Attributions(plan, variables)
    maps = {
        "saliency.png": (attributions.saliency(batch, classes), SALIENCY),
        "smooth_grad.png": (attributions.smooth_grad(batch, classes), SMOOTH_GRAD),
    }
    drawn = []
    program = attributions.program
    if program.volumes:
        rows = activations_of(program)(variables, batch[:1])
        path = folder / "activations.png"
        explanation_figures.activations(explained[0], rows, path, plan.data.classes)
        drawn.append("activations.png")
        last = program.volumes[-1]
        title = GRAD_CAM.format(last, shape_text(last.shape))
        maps["grad_cam.png"] = attributions.grad_cam(batch, classes), title
    for name, (heat, title) in maps.items():
        over = name == "grad_cam.png"
        explanation_figures.heat_maps(
            explained, heat, folder / name, title, over=over, classes=plan.data.classes
        )
        drawn.append(name)
    kernel, name = first_kernel(plan, variables), "first_layer_filters.png"
    if kernel is not None and figures.first_layer_filters(kernel, folder / name):
        drawn.append(name)
    return drawn


def run(command: Command) -> None:
    """Explains the run that --workdir names."""
    flags = command.flags
    workdir, recipe = run_workdir(command)
    explain(workdir, as_tuple(flags.images), command.args, recipe=recipe, data_dir=flags.data_dir)


MODE = Mode(
    run,
    (
        Flag(
            "images",
            tuple[int, ...] | int | None,
            None,
            "Test images by number, as 3,17; default: the files named, or 6 at random",
        ),
    ),
    takes_files=True,
    uses_recipe=False,
)

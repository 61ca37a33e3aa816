"""The lesson's table: a net as a chain of volumes, layer by layer, and what each layer costs."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from pathlib import Path

import flax.linen as nn

from cnn_jax import config
from cnn_jax.analysis import structure
from cnn_jax.analysis.layer_walk import Layer, Volume
from cnn_jax.config import Command, Flag
from cnn_jax.errors import UserError, first_line
from cnn_jax.experiment import DataFacts, Experiment
from cnn_jax.modes.mode import Mode
from cnn_jax.report import blocks
from cnn_jax.report.volume_row import Row, sides
from cnn_jax.report.volume_table import WIDEST, Table, notes, to_markdown, to_rich
from cnn_jax.runs.folder import Run
from cnn_jax.storage import files

# What a net is shown on where its data does not say without being loaded.
IMAGE_SHAPE: Volume = (32, 32, 3)
CLASSES = 10
# The lesson's two sizes: what is light work for full connection, and what is not.
SMALL, LARGE = 32, 200
# How far the search goes for a size that suits a model.
LARGEST_TRIED = 64


def volumes(model: nn.Module, image_shape: Volume) -> Table:
    """The volumes that a net makes of an image of this height, width and depth.

    Args:
      model: A module whose `num_classes` is set, called as `model(image, train=False)`.
      image_shape: H, W, C.

    Raises:
      UserError: where the model can't take such images.
    """
    try:
        layers = _layers(model, image_shape)
        parameters = structure.parameter_count(model, image_shape)
    except Exception as error:
        reason = _smallest(model, image_shape) or first_line(error)
        raise UserError(
            f"model {config.to_text(model)} can't take images of {sides(image_shape)}: {reason}"
        ) from error
    rows = [Row("INPUT", "", "input", image_shape, image_shape)]
    for layer in layers:
        before = rows[-1]
        if layer.kind == "norm" and before.kind in ("conv", "fc") and before.volume == layer.input:
            rows[-1] = dataclasses.replace(before, biases=before.biases + layer.biases)
        else:
            rows.append(Row.of(layer, before.volume))
    return Table(tuple(rows), parameters, layers)


def _layers(model: nn.Module, image_shape: Volume) -> tuple[Layer, ...]:
    layers = tuple(structure.layers(model, image_shape))
    for layer in layers:
        # Some versions of jax go on with arrays that hold nothing.
        if not math.prod(layer.output):
            raise ValueError(f"{layer.name} makes {sides(layer.output)} of {sides(layer.input)}")
    return layers


def _smallest(model: nn.Module, image_shape: Volume) -> str:
    """The smallest square image above this one that the model takes, in words; "" if none near."""
    for size in range(max(image_shape[:2]) + 1, LARGEST_TRIED + 1):
        with contextlib.suppress(Exception):
            _layers(model, (size, size, image_shape[2]))
            return f"the smallest that it takes are {size}x{size}"
    return ""


def lesson(table: Table) -> list[str]:
    """What the table teaches, in sentences."""
    height, width, depth = shape = table.image_shape
    other = (LARGE, LARGE, depth) if max(height, width) < LARGE else (SMALL, SMALL, depth)
    said = [
        f"One fully connected neuron on {sides(shape)} has {math.prod(shape):,} weights; "
        f"on {sides(other)} it has {math.prod(other):,}."
    ]
    weighted = [row for row in table.rows if row.weights]
    if weighted and weighted[0].kind == "fc":
        first = weighted[0]
        said.append(f"{first.name} has {first.volume[2]:,} of them: {first.weights:,} weights.")
    local = next((layer for layer in table.layers if layer.kind == "conv"), None)
    if local and local.window:
        neuron = local.weights // local.output[2]
        patch = sides((*local.window, neuron // math.prod(local.window)))
        said.append(
            f"A neuron of {local.name} is connected to a patch of {patch}: {neuron:,} weights, "
            f"shared by the neurons at all {sides(local.output[:2])} places."
        )
    if table.convolutions:
        has = sum(row.weights for row in table.convolutions)
        would = sum(row.fully_connected or 0 for row in table.convolutions)
        said.append(
            f"The convolutions have {has:,} weights; fully connected layers between the same "
            f"volumes would need {in_words(would)}: {table.ratio:,.0f} times as many."
        )
    last = table.rows[-1].volume
    if last[:2] == (1, 1):
        said.append(f"The last volume is {sides(last)}: the class scores.")
    held = table.weights + table.biases
    trained = "" if held == table.parameters else f" of the {held:,} numbers in the table"
    said.append(
        f"{table.parameters:,}{trained or ' parameters'} are trained; one image takes "
        f"{table.multiply_adds:,} multiply-adds."
    )
    return said


def in_words(number: int) -> str:
    """A count as it is said: 444,596,224 is 445 million, 8,700,000,000 is 8.7 billion."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= 0.9995 * size:
            share = number / size
            return f"{share:,.0f} {word}" if share >= 99.95 else f"{share:.1f} {word}"
    return f"{number:,}"


def of_experiment(
    experiment: Experiment,
    *,
    image_size: int | None = None,
    data_facts: DataFacts | None = None,
) -> Table:
    """The volumes of an experiment's model; the arguments and errors are those of `show`."""
    data = data_facts or experiment.data
    shape = getattr(data, "image_shape", IMAGE_SHAPE)
    if image_size is not None:
        shape = (image_size, image_size, shape[2])
    model = experiment.model
    if getattr(model, "num_classes", 0) is None:
        model = model.clone(num_classes=getattr(data, "num_classes", CLASSES))
    try:
        return volumes(model, shape)
    except UserError as error:
        raise UserError(f"--image_size={image_size}: {error}" if image_size else error) from error


def markdown(experiment: Experiment) -> str:
    """The table of an experiment's model in Markdown, on images as in its data."""
    return to_markdown(of_experiment(experiment)).rstrip("\n")


def show(
    experiment: Experiment,
    *,
    image_size: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    data_facts: DataFacts | None = None,
) -> None:
    """Prints the net's volumes and what they teach; the data is not loaded.

    Args:
      experiment: Its model is shown.
      image_size: Height and width of the image; None: as in the data.
      folder: Where volumes.png, volumes.svg and volumes.md go; None: nowhere.
      data_facts: A run's data; None: what the experiment's data says of itself, or else images of
        32x32x3 in 10 classes.

    Raises:
      UserError: where the model can't take such images, or the folder can't be written.
      OSError: the disk is full.
    """
    from rich.console import Console

    table = of_experiment(experiment, image_size=image_size, data_facts=data_facts)
    shape = table.image_shape
    title = f"{config.to_text(experiment.model)} on {sides(shape)}"
    said = [*lesson(table), *notes(table)]
    console = Console(width=WIDEST, highlight=False)
    console.print(title, markup=False, soft_wrap=True)
    console.print(to_rich(table))
    for sentence in said:
        console.print(sentence, markup=False, soft_wrap=True)
    if folder is None:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name in ("volumes.png", "volumes.svg"):
            blocks.draw(table.layers, shape, Path(folder) / name, title=title)
        written = f"# {title}\n\n![The volumes](volumes.svg)\n\n{to_markdown(table)}\n"
        written += "".join(f"- {sentence}\n" for sentence in said)
        files.write_atomically(Path(folder) / "volumes.md", written.encode())
    except OSError as error:
        if error.errno in files.NO_ROOM:
            raise
        raise UserError(f"--workdir={folder}: {error.strerror or error}") from error
    print(f"volumes.png, volumes.svg and volumes.md are in {folder}")


def run(command: Command) -> None:
    """Shows the volumes of the recipe's model, or of the run that --workdir names."""
    flags = command.flags
    experiment, facts = command.experiment, None
    if flags.workdir and "config" not in command.given and Run(flags.workdir).exists():
        plan = Run(flags.workdir).plan()
        experiment, facts = plan.experiment, plan.data
    show(experiment, image_size=flags.image_size, folder=flags.workdir, data_facts=facts)


MODE = Mode(
    run,
    (Flag("image_size", int | None, None, "Height and width of the image", minimum=1),),
    uses_device=False,
)

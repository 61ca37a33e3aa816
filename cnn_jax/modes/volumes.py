"""Mode volumes: prints and draws a net's volumes layer by layer, and what each layer costs."""

import os

from rich.console import Console

from cnn_jax import config
from cnn_jax.analysis.volume_sentences import lesson
from cnn_jax.analysis.volumes import of_experiment
from cnn_jax.config import Command, Flag
from cnn_jax.config.names import NAMES
from cnn_jax.errors import UserError, shape_text
from cnn_jax.experiment import DataFacts, Experiment
from cnn_jax.modes.mode import Mode
from cnn_jax.report import block_figure
from cnn_jax.report.volume_table import WIDEST, notes, to_markdown, to_rich
from cnn_jax.runs.workdir import Run
from cnn_jax.storage import files
from cnn_jax.storage.local_paths import local_path


def show(
    experiment: Experiment,
    *,
    image_size: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    data_facts: DataFacts | None = None,
) -> None:
    """Prints the net's table of volumes and the lesson in sentences; the data is not loaded.

    Args:
      experiment: Its model is shown.
      image_size: Height and width of the image; None: as in the data.
      folder: Where volumes.png, volumes.svg and volumes.md are written; None: nowhere.
      data_facts: A run's data, as `of_experiment` takes it.

    Raises:
      UserError: the model cannot take such images, or the folder cannot be written.
      OSError: the disk is full.
    """
    folder = None if folder is None else local_path(folder, "workdir")
    table = of_experiment(experiment, image_size=image_size, data_facts=data_facts)
    shape = table.image_shape
    title = f"{config.to_text(experiment.model, NAMES)} on {shape_text(shape)}"
    sentences = [*lesson(table), *notes(table)]
    console = Console(width=WIDEST, highlight=False, emoji=False)
    console.print(title, markup=False, soft_wrap=True)
    console.print(to_rich(table))
    for sentence in sentences:
        console.print(sentence, markup=False, soft_wrap=True)
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("volumes.png", "volumes.svg"):
            block_figure.draw(table.layers, shape, folder / name, title=title)
        written = f"# {title}\n\n![The volumes](volumes.svg)\n\n{to_markdown(table)}\n"
        written += "".join(f"- {sentence}\n" for sentence in sentences)
        files.write_atomically(folder / "volumes.md", written.encode())
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

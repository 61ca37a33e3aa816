"""What a mode of the command line is, and what several modes share."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax import docs_tables
from cnn_jax.config import Command, Flag, Recipe
from cnn_jax.errors import UserError
from cnn_jax.results.writing import write_result
from cnn_jax.runs.workdir import Run
from cnn_jax.tracking.chosen import chosen


def starts_over(command: Command) -> str:
    """The line for a mode of which nothing is kept."""
    del command
    return "the same command starts from the beginning"


def goes_on(how: str) -> Callable[[Command], str]:
    """The line for a mode that goes on in a --workdir, and starts over without one."""

    def line(command: Command) -> str:
        return starts_over(command) if command.flags.workdir is None else f"the same command {how}"

    return line


class Mode(NamedTuple):
    """A mode of the command line.

    Attributes:
      run: Runs it.
      flags: The flags that it reads, besides the general ones; other modes refuse them.
      takes_files: Whether names of files or folders may follow the flags.
      uses_device: Whether it computes on a device.
      uses_recipe: Whether it works on the recipe's experiment; others take that of the run in
        --workdir.
      next_start: After an interruption, a line on what the same command does.
      joins_a_job: Whether several processes can share it (--distributed).
    """

    run: Callable[[Command], None]
    flags: tuple[Flag, ...] = ()
    takes_files: bool = False
    uses_device: bool = True
    uses_recipe: bool = True
    next_start: Callable[[Command], str] = starts_over
    joins_a_job: bool = False


RECORD = Flag(
    "record",
    bool,
    False,
    "Also write the result to results/, and a recipe's to the tables of README and docs/",
)
LOG_EVERY_STEPS = Flag(
    "log_every_steps", int | None, None, "Also log every so many steps", minimum=1
)
SAVE_EVERY_STEPS = Flag(
    "save_every_steps", int | None, None, "Also save a checkpoint every so many steps", minimum=1
)
WORKERS = Flag(
    "workers",
    int | None,
    None,
    "Processes that decode streamed images (data.stream); 0: threads; default: one for each core",
    minimum=0,
)
TRACK = Flag(
    "track",
    str | None,
    None,
    "Also send settings, metrics, figures to a tracker: mlflow, or a Writer of the recipe's file",
)
OUTPUT = Flag(
    "output",
    str | None,
    None,
    "predict: also write a .jsonl or .csv; export: the folder; report: the .html; --topology: "
    "also write a .json",
)


def new_workdir(command: Command) -> Run:
    """The run in the folder that --workdir names, or a new one, whose folder is created later."""
    if command.flags.workdir:
        return Run(command.flags.workdir)
    return Run(Path("runs", command.recipe.name, time.strftime("%Y%m%d-%H%M%S")), new=True)


def run_workdir(command: Command, takes: str = "") -> tuple[str, Recipe | None]:
    """The --workdir of an existing run, and its recipe if --config names one.

    Args:
      command: The command line.
      takes: The field of the config that the mode takes from the command line; "": none.
    """
    if command.flags.workdir is None:
        raise UserError(f"--mode={command.flags.mode} needs the --workdir of a run")
    refuse_overrides(command, takes)
    return command.flags.workdir, command.recipe if "config" in command.given else None


def refuse_overrides(command: Command, takes: str = "") -> None:
    """Raises UserError if the command line overrides the config of an existing run.

    Args:
      command: The command line.
      takes: A field that may be overridden as a whole, and its parts with it.
    """
    for name in command.overridden:
        if not takes or name.partition(".")[0] != takes:
            raise UserError(f"the config of a run cannot be overridden: drop --config.{name}")
        if takes not in command.overridden:
            raise UserError(f"--config.{name} needs the whole --config.{takes}=...")


def training_options(command: Command) -> dict[str, Any]:
    """The keyword arguments of `train` that come from the command line."""
    flags = command.flags
    return {
        "recipe": command.recipe,
        "data_dir": flags.data_dir,
        "log_every_steps": flags.log_every_steps,
        "save_every_steps": flags.save_every_steps,
        "writers": chosen(flags.track, command.recipe.names),
    }


def record_result(command: Command, summaries: list[dict[str, Any]]) -> None:
    """Writes the result of a recipe to results/ and to the tables of the docs."""
    print(f"recorded in {write_result(command.recipe, summaries)}")
    docs_tables.refresh()


def as_tuple(numbers: tuple[int, ...] | int | None) -> tuple[int, ...]:
    """The numbers of a flag that takes one or several."""
    if numbers is None:
        return ()
    return (numbers,) if isinstance(numbers, int) else numbers

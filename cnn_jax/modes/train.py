"""Mode train: one run of a recipe."""

from cnn_jax.config import Command
from cnn_jax.modes.mode import (
    LOG_EVERY_STEPS,
    RECORD,
    SAVE_EVERY_STEPS,
    Mode,
    new_workdir,
    record_result,
    training_options,
)
from cnn_jax.results.writing import check_recordable
from cnn_jax.runs.workdir import Run
from cnn_jax.train import train


def run(command: Command) -> None:
    """Trains the recipe, or resumes its run."""
    if command.flags.record:
        check_recordable(command.recipe, command.overridden)
    result = train(command.experiment, new_workdir(command), **training_options(command))
    if command.flags.record:
        record_result(command, [result.summary])


def next_start(command: Command) -> str:
    """The line after an interruption outside the training itself, as while data is read."""
    workdir = command.flags.workdir
    begun = workdir and Run(workdir).checkpoints().steps()
    return f"the same command {'resumes' if begun else 'starts'} the run"


MODE = Mode(run, (RECORD, LOG_EVERY_STEPS, SAVE_EVERY_STEPS), next_start=next_start)

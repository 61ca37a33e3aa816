"""Mode export: writes a run's net into a folder of its own."""

from cnn_jax.config import Command
from cnn_jax.export import export
from cnn_jax.modes.mode import OUTPUT, Mode, run_workdir


def run(command: Command) -> None:
    """Exports the run that --workdir names."""
    workdir, recipe = run_workdir(command)
    export(workdir, command.flags.output, recipe=recipe)


MODE = Mode(run, (OUTPUT,), uses_recipe=False)

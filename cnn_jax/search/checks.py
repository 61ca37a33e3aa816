"""Checks a search before its first trial."""

from collections.abc import Mapping

from cnn_jax import config
from cnn_jax.config import flat
from cnn_jax.data import Dataset
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment, Plan
from cnn_jax.runs.workdir import Run
from cnn_jax.search.space import Axis
from cnn_jax.setup import Setup
from cnn_jax.sweeps import sweep_folder
from cnn_jax.sweeps.grid import applied


def check_folder(whole: Run) -> None:
    """Raises UserError if a folder holds a run or a sweep, and so can't hold a search."""
    if whole.exists():
        raise UserError(f"{whole.folder} holds a run: give another --workdir")
    if not whole.new and (whole.folder / sweep_folder.NAME).exists():
        raise UserError(f"{whole.folder} holds a sweep: give another --workdir")


def fixed_fields(experiment: Experiment, axes: Mapping[str, Axis]) -> dict[str, str]:
    """The fields that all trials share, as `config.flat` writes them."""
    searched = tuple(axes)
    inside = tuple(f"{name}." for name in axes)
    return {
        name: value
        for name, value in flat.flat(config.to_text(experiment)).items()
        if name not in searched and not name.startswith(inside)
    }


def check(
    experiment: Experiment,
    axes: Mapping[str, Axis],
    recipe: config.Recipe,
    data_dir: str | None,
) -> dict[tuple[str, str], Plan]:
    """Raises what training would refuse, at the ends of every axis and for every choice.

    Args:
      experiment: The experiment to vary.
      axes: What its fields may be.
      recipe: Where it comes from.
      data_dir: Where TFDS data is.

    Returns:
      The plan with each field at each of these values, the others as in the experiment, by the
      field and the value.
    """
    loaded: dict[str, Dataset] = {}
    plans = {}
    for name, axis in axes.items():
        for value in axis.examples():
            try:
                changed = applied(experiment, {name: value}, recipe.names)
                setup = Setup.of(changed, recipe, data_dir, loaded=loaded)
            except UserError as error:
                raise UserError(f"--space: {name}={value}: {error}") from error
            if not setup.plan.data.validation:
                raise UserError("--mode=search chooses on validation: set data.validation")
            plans[name, value] = setup.plan
    return plans

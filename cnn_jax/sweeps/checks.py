"""Checks all runs of a sweep before the first of them is trained."""

import dataclasses
from collections.abc import Mapping, Sequence

from cnn_jax import config
from cnn_jax.data import Dataset
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment, Plan
from cnn_jax.setup import Setup
from cnn_jax.sweeps.grid import Assignment, applied, name_of
from cnn_jax.sweeps.sweep_folder import Member


def experiments(
    experiment: Experiment, assignments: Sequence[Assignment], recipe: config.Recipe
) -> dict[str, Experiment]:
    """The experiment of each run, by the run's name.

    Raises:
      UserError: a field or a value is wrong.
    """
    return {name_of(chosen): applied(experiment, chosen, recipe.names) for chosen in assignments}


def texts(experiments: Mapping[str, Experiment]) -> list[str]:
    """Each experiment as text; raises UserError if two are the same."""
    named: dict[str, str] = {}
    for name, experiment in experiments.items():
        other = named.setdefault(config.to_text(experiment), name)
        if other != name:
            raise UserError(f"--sweep: {other} and {name} are the same run")
    return [*named]


def check(
    members: Sequence[Member],
    experiments: Mapping[str, Experiment],
    recipe: config.Recipe,
    data_dir: str | None,
) -> list[Plan]:
    """Raises everything that training would refuse.

    Args:
      members: The runs.
      experiments: The experiment of each, by the run's name.
      recipe: Where they come from.
      data_dir: Where TFDS data is.

    Returns:
      The plan of each run.
    """
    loaded: dict[str, Dataset] = {}
    traced: set[str] = set()
    plans = []
    for member in members:
        run = member.run
        try:
            setup = Setup.of(experiments[member.name], recipe, data_dir, run=run, loaded=loaded)
            if run.exists():
                run.check_same(setup.plan, recipe)
            but_for_seed = config.to_text(dataclasses.replace(setup.plan.experiment, seed=0))
            if but_for_seed not in traced and not member.ended():
                _ = setup.lowered_steps  # raises UserError if a component cannot take a step
            traced.add(but_for_seed)
        except UserError as error:
            raise UserError(f"--sweep: {member.name}: {error}") from error
        plans.append(setup.plan)
    return plans

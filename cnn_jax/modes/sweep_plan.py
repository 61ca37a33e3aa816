"""The flag --dry_run of a sweep: lists its runs and what they take; trains and writes nothing."""

from collections.abc import Sequence
from typing import Any

from cnn_jax import config
from cnn_jax.experiment import Experiment
from cnn_jax.modes.schedule_facts import peta, run_costs
from cnn_jax.report import tables
from cnn_jax.runs.workdir import Run
from cnn_jax.sweeps import checks, sweep_folder
from cnn_jax.sweeps.grid import Assignment


def sweep_plan(
    experiment: Experiment,
    assignments: Sequence[Assignment],
    whole: Run,
    recipe: config.Recipe,
    data_dir: str | None = None,
    *,
    console: Any = None,
) -> None:
    """Prints each run of a sweep, its state, its steps and its FLOPs, and the sum of what is left.

    Args:
      experiment: The experiment to vary.
      assignments: The values of each run.
      whole: The folder that holds a folder for each run, or would.
      recipe: Where the experiment comes from.
      data_dir: Where TFDS data is.
      console: A `rich.console.Console`.

    Raises:
      UserError: the sweep would be refused.
    """
    out = console or tables.console()
    experiments = checks.experiments(experiment, assignments, recipe)
    members = sweep_folder.members(whole, assignments, checks.texts(experiments))
    with out.status("Checking every run"):
        costs = run_costs(checks.check(members, experiments, recipe, data_dir))
    rows, left = [], []
    for member, (steps, flops) in zip(members, costs, strict=True):
        place = member.run.folder.name
        rows.append([place, member.name, member.state(), f"{steps:,}", peta(flops)])
        if not member.ended():
            left.append((steps, flops))
    out.print(tables.table(["folder", "run", "state", "steps", "training FLOPs"], rows))
    out.print(
        f"{len(left):,} of {len(members):,} runs are to be trained: "
        f"{sum(steps for steps, _ in left):,} steps, {peta(sum(flops for _, flops in left))} FLOPs",
        highlight=False,
    )

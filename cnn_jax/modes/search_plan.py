"""The flag --dry_run of a search: lists its fields and what trials take; trains nothing."""

from typing import Any

from cnn_jax import config
from cnn_jax.experiment import Experiment, Plan
from cnn_jax.modes.schedule_facts import peta, run_costs
from cnn_jax.report import tables
from cnn_jax.search import checks
from cnn_jax.search.space import space


def search_plan(
    experiment: Experiment,
    text: str,
    trials: int,
    recipe: config.Recipe,
    data_dir: str | None = None,
    *,
    console: Any = None,
) -> None:
    """Prints the steps and FLOPs of a trial with each field at its ends, or at each choice.

    Args:
      experiment: The experiment to vary.
      text: The space, as in `search.space.space`.
      trials: Number of trials.
      recipe: Where the experiment comes from.
      data_dir: Where TFDS data is.
      console: A `rich.console.Console`.

    Raises:
      UserError: the search would be refused.
    """
    out = console or tables.console()
    with out.status("Checking every field"):
        plans = checks.check(experiment, space(text), recipe, data_dir)
        costs = run_costs(plans.values())
    rows = [
        [*place, f"{steps:,}", peta(flops)]
        for place, (steps, flops) in zip(plans, costs, strict=True)
    ]
    out.print(tables.table(["field", "value", "steps", "training FLOPs"], rows))
    out.print(_sum(trials, plans, costs), highlight=False, markup=False, soft_wrap=True)


def _sum(trials: int, plans: dict[tuple[str, str], Plan], costs: list[tuple[int, int]]) -> str:
    """What the whole search takes, if all trials take the same."""
    if len(set(costs)) == 1:
        steps, flops = costs[0]
        return (
            f"{trials:,} trials of {steps:,} steps: {peta(trials * flops)} FLOPs, "
            "without what pruning saves"
        )
    by_field: dict[str, set[tuple[int, int]]] = {}
    for (name, _), cost in zip(plans, costs, strict=True):
        by_field.setdefault(name, set()).add(cost)
    varying = [name for name, found in by_field.items() if len(found) > 1]
    depends = f"; what one takes depends on {' and '.join(varying)}" if varying else ""
    return f"{trials:,} trials{depends}"

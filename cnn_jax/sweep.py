"""Mode sweep: a recipe over a grid of values, one run each."""

from __future__ import annotations

import ast
import itertools
import statistics
from pathlib import Path
from typing import Any

from cnn_jax import config
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.report import tables
from cnn_jax.train import train

Assignment = dict[str, str]


def grid(text: str) -> list[Assignment]:
    """The assignments of "optimizer.peak_lr=0.01,0.03; seed=0,1": every combination.

    Raises:
      UserError: the text is no such list.
    """
    axes: dict[str, list[str]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, values = part.partition("=")
        try:
            call = ast.parse(f"f({values})", mode="eval").body
        except SyntaxError:
            equals = ""
        if not equals or not isinstance(call, ast.Call) or call.keywords or not call.args:
            raise UserError(f"--sweep: {part!r} is not of the form field=value,value,...")
        axes[name.strip()] = [ast.unparse(value) for value in call.args]
    if not axes:
        raise UserError("--sweep must name fields and values: 'optimizer.peak_lr=0.01,0.03'")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def sweep(
    experiment: Experiment,
    text: str,
    workdir: Path,
    *,
    recipe: config.Recipe,
    data_dir: str | None = None,
    console: Any = None,
) -> list[dict[str, Any]]:
    """Trains every combination in a folder of its own; runs that have finished are not repeated.

    Choices are made on validation: the test accuracy is shown only of a sweep over seeds.

    Args:
      experiment: What the values are put into.
      text: The grid, as in `grid`.
      workdir: Where the runs' folders go.
      recipe: Where the experiment comes from.
      data_dir: Where TFDS data is.
      console: A `rich.console.Console`.

    Returns:
      The runs' summaries, in the order of the grid.

    Raises:
      UserError: a field or a value that does not fit; nothing is trained then.
    """
    out = console or tables.console()
    assignments = grid(text)
    experiments = [
        config.override(
            experiment, [f"--config.{name}={value}" for name, value in chosen.items()], recipe.names
        ).config
        for chosen in assignments
    ]
    summaries = []
    for chosen, changed in zip(assignments, experiments, strict=True):
        name = ",".join(f"{field}={value}" for field, value in chosen.items())
        out.rule(name, align="left")
        folder = workdir / name.replace("/", "_")
        result = train(changed, folder, recipe=recipe, data_dir=data_dir, console=console)
        summaries.append(result.summary)
    out.print(_table(assignments, summaries))
    return summaries


def _table(assignments: list[Assignment], summaries: list[dict[str, Any]]):
    fields = list(assignments[0])
    measure = "test_accuracy" if fields == ["seed"] else "validation_accuracy"
    values = [summary[measure] for summary in summaries]
    rows = [
        [*chosen.values(), "" if value is None else f"{value:.2%}"]
        for chosen, value in zip(assignments, values, strict=True)
    ]
    if fields == ["seed"] and len(values) > 1:
        spread = f"{statistics.mean(values):.2%} +- {statistics.stdev(values):.2%}"
        rows.append(["mean +- sd", spread])
    elif None not in values:
        best = max(range(len(values)), key=values.__getitem__)
        rows[best][-1] += "  best"
    return tables.table([*fields, measure.replace("_", " ")], rows)

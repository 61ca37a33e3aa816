"""Mode sweep: one run of a recipe for each combination of a grid of values."""

import ast
import dataclasses
import itertools
import os
import statistics
from typing import Any

from rich.table import Table
from rich.text import Text

from cnn_jax import config
from cnn_jax.config import Command, Flag
from cnn_jax.data import Dataset
from cnn_jax.errors import RunFailed, UserError
from cnn_jax.experiment import Experiment
from cnn_jax.modes.mode import (
    LOG_EVERY_STEPS,
    RECORD,
    SAVE_EVERY_STEPS,
    WORKERS,
    Mode,
    new_workdir,
    record_result,
    starts_over,
    training_options,
)
from cnn_jax.report import tables
from cnn_jax.results.writing import check_recordable
from cnn_jax.runs.workdir import Run
from cnn_jax.setup import Setup
from cnn_jax.train import Diverged, train
from cnn_jax.training import stream

Assignment = dict[str, str]


def grid(text: str) -> list[Assignment]:
    """The assignments of "optimizer.peak_lr=0.01,0.03; seed=0,1": every combination.

    Raises:
      UserError: the text has another form.
    """
    axes: dict[str, list[str]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, listed = part.partition("=")
        try:
            call = ast.parse(f"f({listed})", mode="eval").body
        except SyntaxError:
            equals = ""
        if not equals or not isinstance(call, ast.Call) or call.keywords or not call.args:
            raise UserError(f"--sweep: {part!r} must have the form field=value,value,...")
        values = [ast.unparse(value) for value in call.args]
        if name.strip() in axes or len(set(values)) < len(values):
            raise UserError(f"--sweep: {part!r} repeats a field or a value")
        axes[name.strip()] = values
    if not axes:
        raise UserError("--sweep must name fields and values: 'optimizer.peak_lr=0.01,0.03'")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def sweep(
    experiment: Experiment,
    text: str,
    workdir: str | os.PathLike[str] | Run,
    *,
    recipe: config.Recipe,
    data_dir: str | None = None,
    log_every_steps: int | None = None,
    save_every_steps: int | None = None,
    console: Any = None,
) -> list[dict[str, Any]]:
    """Trains each combination in a folder of its own; finished runs are not repeated.

    Choices are made on validation: the table shows test accuracy only for a sweep over seeds. A run
    that diverges is reported, and the others continue.

    Args:
      experiment: The experiment to vary.
      text: The grid, as in `grid`.
      workdir: The folder that holds a folder for each run, or a `Run` there.
      recipe: Where the experiment comes from.
      data_dir: Where TFDS data is.
      log_every_steps: As in `train`.
      save_every_steps: As in `train`.
      console: A `rich.console.Console`.

    Returns:
      The summaries of the runs that did not diverge, in the order of the grid.

    Raises:
      UserError: a field or a value is wrong, or does not fit the data; nothing is trained then.
      RunFailed: every run diverged.
    """
    out = console or tables.console()
    assignments = grid(text)
    experiments = [
        config.override(
            experiment, [f"--config.{name}={value}" for name, value in chosen.items()], recipe.names
        ).config
        for chosen in assignments
    ]
    names = [",".join(f"{field}={value}" for field, value in a.items()) for a in assignments]
    folder_names = [name.replace("/", "_") for name in names]
    whole = Run.at(workdir)
    runs = [Run(whole.folder / name, new=whole.new) for name in folder_names]
    _check(names, experiments, runs, recipe, data_dir)
    summaries: list[dict[str, Any] | None] = []
    with whole.created():
        for name, changed, folder_name in zip(names, experiments, folder_names, strict=True):
            out.rule(Text(name), align="left")  # a string would be parsed as markup
            try:
                result = train(
                    changed,
                    whole.folder / folder_name,
                    recipe=recipe,
                    data_dir=data_dir,
                    log_every_steps=log_every_steps,
                    save_every_steps=save_every_steps,
                    console=console,
                )
                summaries.append(result.summary)
            except Diverged as error:
                out.print(f"diverged: {error}", highlight=False, markup=False)
                summaries.append(None)
        out.print(_table(assignments, summaries, experiment.select_by))
        finished = [summary for summary in summaries if summary]
        if not finished:
            raise RunFailed("every run of the sweep diverged")
    return finished


def _check(
    names: list[str],
    experiments: list[Experiment],
    runs: list[Run],
    recipe: config.Recipe,
    data_dir: str | None,
) -> None:
    """Raises everything that training would refuse, before the first run starts."""
    if len({run.folder for run in runs}) < len(runs):
        raise UserError("--sweep: two values would share a folder, since folder names have no /")
    loaded: dict[str, Dataset] = {}
    traced: set[str] = set()
    for name, changed, run in zip(names, experiments, runs, strict=True):
        try:
            setup = Setup.of(changed, recipe, data_dir, run=run, loaded=loaded)
            if run.exists():
                run.check_same(setup.plan, recipe)
            but_for_seed = config.to_text(dataclasses.replace(setup.plan.experiment, seed=0))
            if but_for_seed not in traced and not run.summary():
                _ = setup.lowered_steps  # raises UserError if a component cannot take a step
            traced.add(but_for_seed)
        except UserError as error:
            raise UserError(f"--sweep: {name}: {error}") from error


def _table(
    assignments: list[Assignment], summaries: list[dict[str, Any] | None], select_by: str
) -> Table:
    fields = list(assignments[0])
    over_seeds = fields == ["seed"]
    measure = "test_accuracy" if over_seeds else f"validation_{select_by}"
    # A run that was finished before, or varies `select_by`, may lack the measure.
    values = [summary.get(measure) if summary else None for summary in summaries]
    rows = [
        [*chosen.values(), "diverged" if not summary else "" if value is None else f"{value:.2%}"]
        for chosen, summary, value in zip(assignments, summaries, values, strict=True)
    ]
    known = [value for value in values if value is not None]
    if over_seeds and len(known) > 1:
        spread = f"{statistics.mean(known):.2%} +- {statistics.stdev(known):.2%}"
        rows.append(["mean +- sd", spread])
    elif not over_seeds and len(known) > 1:
        rows[values.index(max(known))][-1] += "  best"
    return tables.table([*fields, measure.replace("_", " ")], rows)


def run(command: Command) -> None:
    """Runs the grid that --sweep names."""
    flags = command.flags
    if flags.sweep is None:
        raise UserError("--mode=sweep needs --sweep='field=value,value,...; ...'")
    if flags.record:
        check_recordable(command.recipe, (*command.overridden, *grid(flags.sweep)[0]))
    with stream.workers(flags.workers):
        summaries = sweep(
            command.experiment, flags.sweep, new_workdir(command), **training_options(command)
        )
    if flags.record:
        if len(summaries) < len(grid(flags.sweep)):
            raise RunFailed("nothing is recorded, since some of the runs diverged")
        record_result(command, summaries)


def next_start(command: Command) -> str:
    """The line after an interruption outside a training."""
    if command.flags.workdir is None:
        return starts_over(command)
    return "the same command trains the runs that have not finished"


MODE = Mode(
    run,
    (
        Flag(
            "sweep",
            str | None,
            None,
            "Fields and values, as 'optimizer.peak_lr=0.01,0.03; seed=0,1'",
        ),
        RECORD,
        LOG_EVERY_STEPS,
        SAVE_EVERY_STEPS,
        WORKERS,
    ),
    next_start=next_start,
)

"""Mode sweep: one run of a recipe for each combination of a grid of values."""

import functools
import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text

from cnn_jax import config
from cnn_jax.config import Command, Flag
from cnn_jax.errors import RunFailed, UserError
from cnn_jax.experiment import Experiment
from cnn_jax.modes.launch import JOBS, LAUNCH, SLURM
from cnn_jax.modes.mode import (
    LOG_EVERY_STEPS,
    RECORD,
    SAVE_EVERY_STEPS,
    TRACK,
    WORKERS,
    Mode,
    goes_on,
    new_workdir,
    record_result,
    training_options,
)
from cnn_jax.modes.sweep_plan import sweep_plan
from cnn_jax.report import tables
from cnn_jax.results.writing import check_recordable
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime.own_command import own_command
from cnn_jax.sweeps import checks, jobs, progress, shared, sweep_folder
from cnn_jax.sweeps.grid import Assignment, grid
from cnn_jax.sweeps.results import Results
from cnn_jax.sweeps.sweep_folder import Member
from cnn_jax.tracking.writer import Writer
from cnn_jax.train import Diverged, train
from cnn_jax.training import stream


def sweep(
    experiment: Experiment,
    assignments: Sequence[Assignment],
    workdir: str | os.PathLike[str] | Run,
    *,
    recipe: config.Recipe,
    data_dir: str | None = None,
    log_every_steps: int | None = None,
    save_every_steps: int | None = None,
    writers: Iterable[Writer] = (),
    console: Any = None,
) -> list[dict[str, Any]]:
    """Trains each combination in a folder of its own; finished runs are not repeated.

    Several processes may call this with the same folder, on one machine or on several that share a
    disk: each trains runs that no other one trains, and resumes those whose process was killed.
    Each returns when all runs have ended.

    Choices are made on validation: the table shows test accuracy only for a sweep over seeds. A run
    that diverges is reported, and the others continue.

    Args:
      experiment: The experiment to vary.
      assignments: The values of each run, such as those of `sweeps.grid.grid`.
      workdir: The folder that holds a folder for each run, or a `Run` there.
      recipe: Where the experiment comes from.
      data_dir: Where TFDS data is.
      log_every_steps: As in `train`.
      save_every_steps: As in `train`.
      writers: As in `train`; they receive one run after another.
      console: A `rich.console.Console`.

    Returns:
      The summaries of the runs that did not diverge, in the order of the grid.

    Raises:
      UserError: a field or a value is wrong, or does not fit the data; nothing is trained then.
      RunFailed: every run diverged.
    """
    out = console or tables.console()
    say = functools.partial(out.print, highlight=False, markup=False, soft_wrap=True)
    whole = Run.at(workdir)
    if whole.exists():
        raise UserError(f"{whole.folder} holds a run: give another --workdir")
    experiments = checks.experiments(experiment, assignments, recipe)
    texts = checks.texts(experiments)
    checks.check(sweep_folder.members(whole, assignments, texts), experiments, recipe, data_dir)

    def train_one(member: Member) -> None:
        out.rule(Text(member.name), align="left")  # a string would be parsed as markup
        try:
            train(
                experiments[member.name],
                member.run.folder,
                recipe=recipe,
                data_dir=data_dir,
                log_every_steps=log_every_steps,
                save_every_steps=save_every_steps,
                writers=writers,
                console=console,
            )
        except Diverged as error:
            say(f"diverged: {error}")
            member.set_diverged(str(error))

    with whole.created():
        members = sweep_folder.members(whole, assignments, texts)
        with sweep_folder.described(whole, recipe.name, members):
            shared.train_all(members, train_one, say)
        results = Results.of(members, experiment.select_by)
        _show(results, whole, recipe, out)
        finished = [m.summary() or {} for m in members if not m.divergence()]
        if not finished:
            raise RunFailed("every run of the sweep diverged")
    return finished


def _show(results: Results, whole: Run, recipe: config.Recipe, out: Any) -> None:
    """Writes the results and prints them."""
    written = results.write(whole, recipe.name)
    out.print(results.table())
    line = f"{', '.join(written)} -> {whole.folder}"
    out.print(line, highlight=False, markup=False, soft_wrap=True)


def watch(command: Command, assignments: Sequence[Assignment], console: Any = None) -> None:
    """Starts processes that share the sweep of a command, and shows what they do.

    Args:
      command: The command line, with --jobs.
      assignments: The values of each run.
      console: A `rich.console.Console`.

    Raises:
      UserError: there are too few devices.
      RunFailed: the processes have ended, and not all runs.
    """
    out, whole, number = console or tables.console(), new_workdir(command), command.flags.jobs
    texts = checks.texts(checks.experiments(command.experiment, assignments, command.recipe))
    with whole.created():
        each = own_command({"jobs", "workdir"}, f"--workdir={whole.folder}")
        out.print(f"{number} processes print to {whole.folder / jobs.LOGS}", soft_wrap=True)
        with jobs.started(each, number, whole.folder) as processes:
            members = sweep_folder.members(whole, assignments, texts)
            with progress.shown(members, out) as update:
                while any(process.poll() is None for process in processes):
                    update()
                    time.sleep(1)
                update()
        if not all(member.ended() for member in members):
            for place, process in enumerate(processes):
                if process.returncode:
                    last = jobs.last_line(whole.folder, place)
                    raise RunFailed(f"process {place} has failed: {last.removeprefix('error: ')}")
        results = Results.of(members, command.experiment.select_by)
        _show(results, whole, command.recipe, out)


def run(command: Command) -> None:
    """Runs the grid that --sweep and --seeds name."""
    flags = command.flags
    if flags.sweep is None and flags.seeds is None:
        raise UserError("--mode=sweep needs --sweep='field=value,value,...; ...', or --seeds=N")
    assignments = grid(flags.sweep, flags.seeds)
    if flags.dry_run:
        sweep_plan(
            command.experiment, assignments, new_workdir(command), command.recipe, flags.data_dir
        )
        return
    options = training_options(command)
    if flags.record:
        check_recordable(command.recipe, (*command.overridden, *assignments[0]))
    if flags.jobs:
        if flags.record:
            raise UserError("--record needs one process: drop --jobs")
        watch(command, assignments)
        return
    with stream.workers(flags.workers):
        summaries = sweep(command.experiment, assignments, new_workdir(command), **options)
    if flags.record:
        if len(summaries) < len(assignments):
            raise RunFailed("nothing is recorded, since some of the runs diverged")
        record_result(command, summaries)


MODE = Mode(
    run,
    (
        Flag(
            "sweep",
            str | None,
            None,
            "Fields and values, as 'optimizer.peak_lr=0.01,0.03; seed=0,1'",
        ),
        Flag("seeds", int | None, None, "Train with so many seeds, from 0", minimum=1),
        JOBS,
        LAUNCH,
        SLURM,
        RECORD,
        LOG_EVERY_STEPS,
        SAVE_EVERY_STEPS,
        TRACK,
        WORKERS,
    ),
    next_start=goes_on("trains the runs that have not finished"),
)

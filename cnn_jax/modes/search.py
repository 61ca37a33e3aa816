"""Mode search: looks for settings with the best validation accuracy."""

import functools
import os
import time
from typing import Any

from rich.text import Text

from cnn_jax import config
from cnn_jax.config import Command, Flag
from cnn_jax.config.names import NAMES
from cnn_jax.errors import RunFailed, UserError
from cnn_jax.experiment import Experiment
from cnn_jax.modes.launch import JOBS, LAUNCH, SLURM
from cnn_jax.modes.mode import (
    LOG_EVERY_STEPS,
    SAVE_EVERY_STEPS,
    TRACK,
    WORKERS,
    Mode,
    goes_on,
    new_workdir,
    training_options,
)
from cnn_jax.modes.search_plan import search_plan
from cnn_jax.report import tables
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.workdir import Run, RunBusy
from cnn_jax.runtime.own_command import own_command
from cnn_jax.search import checks
from cnn_jax.search.results import Results
from cnn_jax.search.space import space
from cnn_jax.search.study import Sampler, Study, folder_name
from cnn_jax.storage.files import write_atomically
from cnn_jax.sweeps import jobs
from cnn_jax.sweeps.grid import applied, name_of
from cnn_jax.sweeps.shared import LOOK
from cnn_jax.sweeps.sweep_folder import Member
from cnn_jax.train import Diverged, train
from cnn_jax.training import stream

BEST = "best.py"


class Pruned(Exception):
    """A trial is given up, since others were better at this epoch."""


def search(
    experiment: Experiment,
    text: str,
    trials: int,
    workdir: str | os.PathLike[str] | Run,
    *,
    recipe: config.Recipe,
    seed: int = 0,
    sampler: Sampler = "tpe",
    storage: str | None = None,
    console: Any = None,
    **options: Any,
) -> Any:
    """Trains trials, each in a folder of its own, and writes the best as a recipe.

    Several processes may call this with the same folder, as with `sweep`. A trial counts if it has
    finished, was pruned, diverged, or has values that do not fit each other. Its value is the
    validation measure `select_by`; the test set plays no part. Trials are pruned by the median of
    others at the same epoch.

    Args:
      experiment: The experiment to vary.
      text: The space, as in `search.space.space`.
      trials: Number of trials.
      workdir: The folder that holds a folder for each trial, or a `Run` there.
      recipe: Where the experiment comes from.
      seed: Of the sampler.
      sampler: "tpe", Optuna's default, or "random".
      storage: The URL of an Optuna storage; None: a journal file in the folder.
      console: A `rich.console.Console`.
      **options: `data_dir`, `log_every_steps`, `save_every_steps`, `writers`, as in `train`.

    Returns:
      Optuna's record of the best trial.

    Raises:
      UserError: a field is wrong, there is no validation set, or Optuna is missing.
      RunFailed: no trial has finished.
    """
    out = console or tables.console()
    say = functools.partial(out.print, highlight=False, markup=False, soft_wrap=True)
    axes = space(text)
    checks.check(experiment, axes, recipe, options.get("data_dir"))
    measure = f"validation_{experiment.select_by}"
    whole = Run.at(workdir)
    checks.check_folder(whole)
    with whole.created():
        study = Study(whole.folder, storage, sampler, seed)
        study.check_same(text, axes, checks.fixed_fields(experiment, axes))

        def run_of(number: int) -> Run:
            return Run(whole.folder / folder_name(number))

        def train_one(trial: Any) -> None:
            values = study.suggest(trial, axes)
            out.rule(Text(f"trial {trial.number}: {name_of(values)}"), align="left")

            def on_epoch(rows: list[dict[str, Any]]) -> None:
                for row in rows:
                    if row["split"] == "validation" and study.report(
                        trial, round(row["epoch"]), row[experiment.select_by]
                    ):
                        raise Pruned

            try:
                result = train(
                    applied(experiment, values, recipe.names),
                    run_of(trial.number),
                    recipe=recipe,
                    on_epoch=on_epoch,
                    console=console,
                    **options,
                )
                study.tell(trial, result.summary[measure])
            except Pruned:
                say("pruned: at this epoch, half of the others were better")
                study.tell(trial, None, pruned=True)
            except Diverged as error:
                say(f"diverged: {error}")
                Member(values, run_of(trial.number)).set_diverged(str(error))
                study.tell(trial, None)
            except RunError:
                raise
            except UserError as error:
                if run_of(trial.number).exists():
                    raise
                say(f"refused: {error}")  # each value fits, but not with the others
                study.refuse(trial, str(error))

        while study.counted() < trials:
            trial = study.next(trials, lambda number: run_of(number).held())
            if trial is None:
                time.sleep(LOOK)
                continue
            try:
                train_one(trial)
            except RunBusy:  # another process has just taken it
                time.sleep(LOOK)
        best = study.best()
        results = Results(study.trials(), best, axes, measure)
        out.print(results.table())
        written = results.write(whole.folder)
        if best is None:
            raise RunFailed(f"no trial has finished ({', '.join(written)} -> {whole.folder})")
        found = applied(experiment, best.params, recipe.names)
        path = whole.folder / BEST
        doc = f"Trial {best.number} of a search: {measure.replace('_', ' ')} {best.value:.2%}."
        write_atomically(path, config.to_recipe(found, doc, NAMES, path.parent).encode())
        say(f"best: trial {best.number}, {measure.replace('_', ' ')} {best.value:.2%}")
        say(f"{', '.join([*written, BEST])} -> {whole.folder}")
        say(f"train it by: python run.py --config={path}")
    return best


def _share(whole: Run, number: int) -> None:
    """Lets so many processes run this command's search to its end.

    Raises:
      UserError: there are too few devices.
      RunFailed: all have failed.
    """
    with whole.created():
        command = own_command({"jobs", "workdir"}, f"--workdir={whole.folder}")
        logs = whole.folder / jobs.LOGS
        print(f"{number} processes print to {logs}", flush=True)
        with jobs.started(command, number, whole.folder) as processes:
            codes = [process.wait() for process in processes]
        if all(codes):
            last = jobs.last_line(whole.folder, 0)
            raise RunFailed(f"process 0 has failed: {last.removeprefix('error: ')}")


def run(command: Command) -> None:
    """Searches the space that --space names."""
    flags = command.flags
    if flags.space is None:
        raise UserError("--mode=search needs --space='optimizer.peak_lr=log(1e-3,1); ...'")
    if flags.dry_run:
        checks.check_folder(new_workdir(command))
        search_plan(command.experiment, flags.space, flags.trials, command.recipe, flags.data_dir)
        return
    options = training_options(command)
    whole = new_workdir(command)
    if flags.jobs:
        space(flags.space)
        _share(whole, flags.jobs)  # what is left to do below is to show the best
    with stream.workers(flags.workers):
        search(
            command.experiment,
            flags.space,
            flags.trials,
            whole,
            seed=flags.seed,
            sampler=flags.sampler,
            storage=flags.storage,
            **options,
        )


MODE = Mode(
    run,
    (
        Flag(
            "space",
            str | None,
            None,
            "Fields and what they may be: 'optimizer.peak_lr=log(1e-3,1); batch_size=choice(8,16)'",
        ),
        Flag("trials", int, 50, "How many settings to try", minimum=1),
        Flag("seed", int, 0, "Of the sampler", minimum=0),
        Flag("sampler", Sampler, "tpe", "tpe, Optuna's default, or random"),
        Flag("storage", str | None, None, "URL of an Optuna storage; default: search.log"),
        LOG_EVERY_STEPS,
        SAVE_EVERY_STEPS,
        TRACK,
        WORKERS,
        LAUNCH,
        SLURM,
        JOBS,
    ),
    next_start=goes_on("goes on with the search"),
)

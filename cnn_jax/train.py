"""Training: from an experiment to a run's folder and a number."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from cnn_jax import config
from cnn_jax.data import Dataset
from cnn_jax.errors import first_line
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.report.progress import Progress
from cnn_jax.runs.checkpoint import CheckpointError, Checkpoints
from cnn_jax.runs.folder import Run
from cnn_jax.runs.metrics_log import TensorBoard, write_json
from cnn_jax.runs.restoring import lost_best, trained_state
from cnn_jax.runs.summary import draw_figures, headline, summarise, verdict
from cnn_jax.runtime import hardware
from cnn_jax.setup import Prepared, prepare
from cnn_jax.storage import json_checks
from cnn_jax.training.clock import Clock
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.loop import Diverged, Interrupted, advance, row_of, watch
from cnn_jax.training.state import TrainState, first_state
from cnn_jax.transfer.initial_weights import transferred
from cnn_jax.transfer.teacher import teacher_digest

__all__ = ["Diverged", "Interrupted", "Result", "Writer", "train"]


class Writer(Protocol):
    """Takes each row of metrics as it is measured, besides metrics.jsonl and TensorBoard."""

    def write(self, row: Mapping[str, Any]) -> None: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What a run came to.

    Attributes:
      summary: The content of summary.json.
      plan: The run's plan.
      state: The state that was tested: its last, or its best where the experiment keeps that; None
        for a run that had finished before and whose checkpoints are gone or damaged.
    """

    summary: dict[str, Any]
    plan: Plan
    state: TrainState | None


def train(
    experiment: Experiment,
    workdir: str | os.PathLike[str],
    *,
    recipe: config.Recipe | None = None,
    data_dir: str | None = None,
    log_every_steps: int | None = None,
    save_every_steps: int | None = None,
    on_epoch: Callable[[list[dict[str, Any]]], None] | None = None,
    writers: Iterable[Writer] = (),
    console: Any = None,
) -> Result:
    """Trains an experiment in a folder, or goes on where a run of it was stopped.

    Args:
      experiment: What to train.
      workdir: The run's folder. A finished run there is returned as it is.
      recipe: Where the experiment comes from, for the record and for classes of its own.
      data_dir: Where TFDS data is; default: `$TFDS_DATA_DIR`, then `~/tensorflow_datasets`.
      log_every_steps: Also log the epoch's running means every so many steps.
      save_every_steps: Also save every so many steps; each epoch's end is always saved.
      on_epoch: Called with the rows of metrics of each epoch.
      writers: Take each row of metrics.
      console: A `rich.console.Console`; `Console(quiet=True)` is silent.

    Raises:
      UserError: the experiment does not fit its data, the devices, its teacher or the folder.
      DataUnavailable: the data can't be had.
      Diverged: the loss, or a number in the state, became NaN or infinite.
      Interrupted: SIGTERM or Ctrl-C; the same call resumes.
      CheckpointError: a state can't be saved or restored.
      RunFailed: the run has lost its checkpoints.
    """
    # The data and the folder come first: what can't work is said before anything is compiled.
    config.check(experiment, "experiment")
    source, note = experiment.data.resolve(data_dir)
    experiment = dataclasses.replace(experiment, data=source)
    data = source.load(data_dir)
    run = Run(workdir)
    ready = prepare(experiment, DataFacts.of(data), recipe, run)
    plan, teacher = ready.plan, ready.teacher
    clock = Clock()
    if not run.summary():
        with clock.compiling():
            lowered = ready.lowered_step()
    say = Progress(0, 1, 0, console=console).note
    with contextlib.ExitStack() as stack:
        if not run.summary():
            stack.enter_context(run.locked())
        taught_by = teacher_digest(plan.teacher, teacher) if plan.teacher else None
        changed = run.begin(plan, recipe, hardware.manifest(), taught_by)
        for line in (note, changed, headline(plan, run, ready.shapes.params)):
            if line:
                say(line)
        finished = run.summary()
        if finished:
            say(f"finished already: {verdict(finished)}")
            return Result(finished, plan, _state_if_kept(run, plan, say))

        stack.enter_context(_told_where_the_folder_has_gone(run))
        # However this ends, a save that has begun is finished first.
        checkpoints = stack.enter_context(
            contextlib.closing(run.checkpoints(experiment.keep_best, warn=say))
        )
        state, start = _state_to_go_on_from(ready, data, run, checkpoints, clock)
        if ready.given is not None and not start:
            state, loaded = transferred(plan, state, ready.given)
            say(loaded)
        if start:
            say(f"resumed at step {start:,} of {plan.total_steps:,}")
            if experiment.keep_best:
                lost = lost_best(run, checkpoints, checkpoints.best(), start)
                if lost:
                    say(f"{lost}; the run can end only if a later step is better")
        elif run.metrics.rows():
            say("this run was stopped before its first checkpoint: it starts from the beginning")
        log = stack.enter_context(_open_log(run, start, writers))

        def save(step: int, state: Any, progress: dict[str, Any], accuracy: float | None) -> None:
            run.check_still_there()
            checkpoints.save(step, state, progress | {"rows": run.metrics.count}, accuracy)

        state = advance(
            plan,
            ready.way,
            lowered,
            data,
            state,
            start,
            teacher=teacher,
            clock=clock,
            log=log,
            save=save,
            every=(log_every_steps, save_every_steps),
            history=run.metrics.rows,
            on_epoch=on_epoch or (lambda rows: None),
            console=console,
        )
        checkpoints.wait()
        clock.stop()
        reached = int(state.step)
        if reached < plan.total_steps:
            epoch = reached // plan.steps_per_epoch
            say(f"ended after epoch {epoch}: no new best on validation for {experiment.patience}")

        state, summary = _finish(plan, data, run, checkpoints, state, clock, log, say)
    say(verdict(summary))
    return Result(summary, plan, state)


def _finish(
    plan: Plan,
    data: Dataset,
    run: Run,
    checkpoints: Checkpoints,
    state: TrainState,
    clock: Clock,
    log: Callable[[dict[str, Any]], None],
    say: Callable[[str], None],
) -> tuple[TrainState, dict[str, Any]]:
    """Tests the last state, or the best; writes the figures and, last of all, the summary."""
    reached = int(state.step)
    # The test set is seen once, at the end.
    if plan.experiment.keep_best:
        state = trained_state(run, plan)
    with clock.compiling():
        evaluator = Evaluator(plan, state.variables, data.test)
    test = evaluator(state.variables)
    row = row_of(plan, reached, "test", test.means()) | {"seconds": clock.seconds()}
    watch(plan, row)
    log(row)
    try:
        draw_figures(plan, run, test, state)
    except OSError:
        raise
    except Exception as error:  # of a net like none before, say: its number is worth more
        say(f"figures are missing: {type(error).__name__}: {first_line(error)}")
    summary = summarise(plan, run, test, state, reached, clock)
    # With the summary the run is finished: what it is restored from must be good.
    if checkpoints.latest() != reached:
        raise CheckpointError(f"{run.folder}: the last checkpoint was damaged since it was saved")
    write_json(run.folder / "summary.json", summary)
    return state, summary


def _state_if_kept(run: Run, plan: Plan, say: Callable[[str], None]) -> TrainState | None:
    """A finished run's state; it stays finished where that can't be had any more."""
    try:
        return trained_state(run, plan)
    except CheckpointError as error:
        say(f"the run is left as it is, but nothing can be restored from it: {error}")
        return None


@contextlib.contextmanager
def _told_where_the_folder_has_gone(run: Run) -> Iterator[None]:
    """Tells a failure to write by its cause where that is a folder moved or removed meanwhile."""
    try:
        yield
    except (CheckpointError, OSError):
        run.check_still_there()
        raise


def _state_to_go_on_from(
    ready: Prepared, data: Dataset, run: Run, checkpoints: Checkpoints, clock: Clock
) -> tuple[TrainState, int]:
    """The newest checkpoint's state, or a new one, and the steps it has taken."""
    step = checkpoints.latest()
    if step is None:
        run.begin_checkpoints(ready.plan.steps_per_epoch)
    checkpoints.go_on_from(step or 0)
    if step is None:
        with clock.compiling():
            return first_state(ready.plan, data.train.images), 0
    state, saved = checkpoints.restore(step, ready.shapes)
    fault = json_checks.fault(
        saved, train_seconds=json_checks.NUMBER, compile_seconds=json_checks.NUMBER
    )
    if fault:
        raise CheckpointError(f"{run.folder}: progress.json of step {step:,}: {fault}")
    run.metrics.check(step, saved.get("rows"))
    clock.add(saved["train_seconds"], saved["compile_seconds"])
    return state, step


@contextlib.contextmanager
def _open_log(
    run: Run, start: int, writers: Iterable[Writer]
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that logs a row; first those are dropped that come after the state of `start`.

    The row of the test is one, though its step may be that of the last checkpoint.
    """
    run.metrics.truncate(start, without="test")
    # TensorBoard drops whole steps: the rows of `start` that stay are written again.
    board = TensorBoard(run.folder / "tensorboard", purge_step=start)
    for row in run.metrics.rows():
        if row["step"] == start:
            board.scalars(row)

    def log(row: dict[str, Any]) -> None:
        run.check_still_there()
        run.metrics.append(row)
        board.scalars(row)
        for writer in writers:
            writer.write(row)

    try:
        yield log
    finally:
        board.close()

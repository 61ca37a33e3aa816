"""Training: from an experiment to a run's folder and a number."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import jax

from cnn_jax import config, hardware, host
from cnn_jax.checkpoint import NOT_EVALUATED, Checkpoints
from cnn_jax.data import Dataset
from cnn_jax.data.pipeline import Resident, epoch_order
from cnn_jax.errors import RunFailed
from cnn_jax.evaluator import Evaluator
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.parallel import Parallel, parallel
from cnn_jax.report.clock import Clock
from cnn_jax.report.log import TensorBoard, write_json
from cnn_jax.report.progress import Progress
from cnn_jax.runs import Run, state_shapes, trained_state
from cnn_jax.state import INIT_IMAGES, TrainState, init_state
from cnn_jax.step import train_step
from cnn_jax.streams import streams
from cnn_jax.summary import draw_figures, headline, summarise, verdict

# Steps that may wait on the device: enough for it never to idle, few enough for a loop over
# simulated devices not to dead-lock.
IN_FLIGHT = 4


class Diverged(RunFailed):
    """The loss is no longer a finite number."""


class Writer(Protocol):
    """Takes each row of metrics as it is measured, besides metrics.jsonl and TensorBoard."""

    def write(self, row: Mapping[str, Any]) -> None: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What a run came to.

    Attributes:
      summary: The content of summary.json.
      plan: The run's plan.
      state: Its last state, on the host's first device.
    """

    summary: dict[str, Any]
    plan: Plan
    state: TrainState


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
      UserError: the experiment does not fit its data, the devices or the folder.
      DataUnavailable: the data can't be had.
      Diverged: the loss became NaN or infinite.
      CheckpointError: a state can't be saved or restored.
    """
    # The data and the folder come first: what can't work is said before anything is compiled.
    config.check(experiment, "experiment")
    source, note = experiment.data.resolve(data_dir)
    experiment = dataclasses.replace(experiment, data=source)
    data = source.load(data_dir)
    plan = Plan.of(experiment, DataFacts.of(data))
    way = parallel(experiment.parallel, experiment.batch_size)
    run = Run(workdir)
    changed = run.begin(plan, recipe, hardware.manifest())
    say = Progress(0, 1, 0, console=console).note
    for line in (note, changed, headline(plan, run)):
        if line:
            say(line)
    finished = run.summary()
    if finished:
        say(f"finished already: {verdict(finished)}")
        return Result(finished, plan, trained_state(run, plan))

    with contextlib.ExitStack() as stack:
        # However this ends, saves that have begun are finished first.
        checkpoints = stack.enter_context(contextlib.closing(run.checkpoints(experiment.keep_best)))
        state, clock, start = _first_state(plan, data, checkpoints)
        if start:
            say(f"resumed at step {start:,} of {plan.total_steps:,}")
        log = stack.enter_context(_open_log(run, start, writers))
        state = _advance(
            plan,
            way,
            data,
            state,
            start,
            clock=clock,
            log=log,
            save=checkpoints.save,
            every=(log_every_steps, save_every_steps),
            on_epoch=on_epoch or (lambda rows: None),
            console=console,
        )
        checkpoints.close()

        # The test set is seen once, at the end.
        if experiment.keep_best:
            state = trained_state(run, plan)
        with clock.compiling():
            evaluator = Evaluator(plan, state.variables, data.test)
        test = evaluator(state.variables)
        clock.stop()
        row = _row(plan, plan.total_steps, "test", test.means()) | {"seconds": clock.seconds()}
        _watch(row, plan.learning_rate(plan.total_steps - 1))
        if not any(logged["split"] == "test" for logged in run.metrics.rows()):
            log(row)

    draw_figures(plan, run, test, state)
    summary = summarise(plan, run, test, state, clock)
    write_json(run.folder / "summary.json", summary)
    say(verdict(summary))
    return Result(summary, plan, state)


def _first_state(
    plan: Plan, data: Dataset, checkpoints: Checkpoints
) -> tuple[TrainState, Clock, int]:
    """The newest checkpoint's state, or a new one; its clock; and the steps it has taken."""
    step = checkpoints.latest()
    if step is None:
        clock = Clock()
        with clock.compiling():
            init = jax.jit(functools.partial(init_state, plan))
            key = streams(plan.experiment.seed).init
            return init(key, data.train.images[:INIT_IMAGES]), clock, 0
    state, saved = checkpoints.restore(step, state_shapes(plan))
    return state, Clock(**saved), step


@contextlib.contextmanager
def _open_log(
    run: Run, start: int, writers: Iterable[Writer]
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that logs a row; rows later than step `start` are dropped first."""
    run.metrics.truncate(start)
    board = TensorBoard(run.folder / "tensorboard", purge_step=start + 1 if start else 0)

    def log(row: dict[str, Any]) -> None:
        run.metrics.append(row)
        board.scalars(row)
        for writer in writers:
            writer.write(row)

    try:
        yield log
    finally:
        board.close()


def _advance(
    plan: Plan,
    way: Parallel,
    data: Dataset,
    state: TrainState,
    start: int,
    *,
    clock: Clock,
    log: Callable[[dict[str, Any]], None],
    save: Callable[..., None],
    every: tuple[int | None, int | None],
    on_epoch: Callable[[list[dict[str, Any]]], None],
    console: Any,
) -> TrainState:
    """Takes every step from `start` to the end of the run. One program advances the state."""
    batch_size, per_epoch, last = plan.experiment.batch_size, plan.steps_per_epoch, plan.total_steps
    log_every, save_every = (steps or last for steps in every)
    with clock.compiling():
        keys = streams(plan.experiment.seed)
        draw = jax.jit(functools.partial(epoch_order, keys.order, examples=len(data.train)))
        constant = way.place(Resident.of(data.train)), way.place(keys)
        state, order = way.place(state), way.place(draw(start // per_epoch))
        step_program = way.compile(
            functools.partial(train_step, plan), state, constant[0], order, constant[1]
        )
        validate = None
        if data.validation:
            validate = Evaluator(plan, way.fetch(state).variables, data.validation)
    host.release_freed_memory()

    in_flight: collections.deque[Any] = collections.deque()
    with Progress(last, per_epoch, batch_size, start, console) as progress:
        clock.start()
        counted, since = start, clock.seconds()
        for step in range(start + 1, last + 1):
            state, sums = step_program(state, constant[0], order, constant[1])
            in_flight.append(sums)
            if len(in_flight) > IN_FLIGHT:
                progress.update(step - IN_FLIGHT, **way.fetch(in_flight.popleft()).means())
            epoch_ends = step % per_epoch == 0 or step == last
            rows, accuracy = [], NOT_EVALUATED
            if epoch_ends or step % log_every == 0:
                row = _row(plan, step, "train", way.fetch(sums).means())
                seconds = clock.seconds()
                row["learning_rate"] = plan.learning_rate(step - 1)
                row["images_per_second"] = (step - counted) * batch_size / (seconds - since)
                row["seconds"] = seconds
                rows.append(row)
            if epoch_ends and validate:
                validation = validate(way.fetch(state).variables)
                accuracy = validation.accuracy
                row = _row(plan, step, "validation", validation.means())
                rows.append(row | {"seconds": clock.seconds()})
            for row in rows:
                _watch(row, plan.learning_rate(step - 1))
                log(row)
            if epoch_ends or step % save_every == 0:
                save(step, way.fetch(state), clock.as_json(), accuracy)
            if rows:
                counted, since = step, clock.seconds()
            if epoch_ends:
                in_flight.clear()
                progress.epoch_done(*rows)
                on_epoch(rows)
                order = way.place(draw(step // per_epoch))
    return way.fetch(state)


def _row(plan: Plan, step: int, split: str, means: dict[str, float]) -> dict[str, Any]:
    return {"step": step, "epoch": step / plan.steps_per_epoch, "split": split, **means}


def _watch(row: dict[str, Any], learning_rate: float) -> None:
    if not math.isfinite(row["loss"]):
        raise Diverged(
            f"the {row['split']} loss is {row['loss']} at step {row['step']:,}, learning rate "
            f"{learning_rate:g}: try a lower optimizer.peak_lr, or optimizer.clip_norm=1"
        )

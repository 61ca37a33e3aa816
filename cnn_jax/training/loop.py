"""The loop over the steps of a run: what is logged, saved, watched and heeded between them."""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
from jax.stages import Lowered

from cnn_jax.data import Dataset
from cnn_jax.data.resident import Resident, epoch_order
from cnn_jax.errors import RunFailed
from cnn_jax.experiment import Plan
from cnn_jax.report.progress import Progress
from cnn_jax.runs.checkpoint import NotFinite
from cnn_jax.runtime import host, signals
from cnn_jax.runtime.parallel import Parallel
from cnn_jax.training.clock import Clock
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import TrainState

# Steps that may wait on the device: enough for it never to idle, few enough for a loop over
# simulated devices not to dead-lock.
IN_FLIGHT = 4


class Diverged(RunFailed):
    """The loss is no longer a finite number."""


class Interrupted(RunFailed):
    """SIGTERM or Ctrl-C; the state is saved. `signal` is its number."""

    def __init__(self, step: int, number: int):
        super().__init__(
            f"interrupted: step {step:,} is saved; the same command with its --workdir resumes"
        )
        self.signal = number


def advance(
    plan: Plan,
    way: Parallel,
    lowered: Lowered,
    data: Dataset,
    state: TrainState,
    start: int,
    *,
    teacher: Any,
    clock: Clock,
    log: Callable[[dict[str, Any]], None],
    save: Callable[..., None],
    every: tuple[int | None, int | None],
    history: Callable[[], list[dict[str, Any]]],
    on_epoch: Callable[[list[dict[str, Any]]], None],
    console: Any,
) -> TrainState:
    """Takes every step from `start` to the end of the run. One program advances the state.

    The run may end early, after an epoch, where the experiment has a `patience`.
    """
    batch_size, per_epoch, last = plan.experiment.batch_size, plan.steps_per_epoch, plan.total_steps
    log_every, save_every = (steps or last for steps in every)
    with clock.compiling():
        keys = streams(plan.experiment.seed)
        draw = jax.jit(functools.partial(epoch_order, keys.order, examples=len(data.train)))
        images, keys, teacher = map(way.place, (Resident.of(data.train), keys, teacher))
        state, order = way.place(state), way.place(draw(start // per_epoch))
        step_program = lowered.compile()
        validate = None
        if data.validation:
            validate = Evaluator(plan, way.fetch(state).variables, data.validation)
    host.release_freed_memory()

    in_flight: collections.deque[tuple[int, Any]] = collections.deque()

    def arrive(most: int) -> dict[str, float]:
        """Waits until at most so many steps are on the device; the means of the newest that isn't.

        Each step's loss is looked at, so that the first that is not finite is named.
        """
        means: dict[str, float] = {}
        while len(in_flight) > most:
            number, sums = in_flight.popleft()
            means = way.fetch(sums).means()
            watch(plan, row_of(plan, number, "train", means))
        return means

    with (
        Progress(last, per_epoch, batch_size, start, console) as progress,
        signals.noted() as stop,
    ):
        clock.start()
        counted, since = start, clock.seconds()
        for step in range(start + 1, last + 1):
            begins = (step - 1) % per_epoch == 0  # the log is read there, where it is asked for
            if begins and plan.experiment.patience and out_of_patience(plan, history()):
                break
            state, sums = step_program(state, images, order, keys, teacher)
            in_flight.append((step, sums))
            means = arrive(IN_FLIGHT)
            if means:
                progress.update(step - IN_FLIGHT, **means)
            signal = stop.after(step)
            epoch_ends = step % per_epoch == 0 or step == last
            logs = epoch_ends or step % log_every == 0
            saves = epoch_ends or step % save_every == 0 or signal is not None
            rows, accuracy = [], None
            if logs or saves:
                means = arrive(0)
            if logs:
                row = row_of(plan, step, "train", means)
                seconds = clock.seconds()
                row["learning_rate"] = plan.learning_rate(step - 1)
                row["images_per_second"] = (step - counted) * batch_size / (seconds - since)
                row["seconds"] = seconds
                rows.append(row)
            if epoch_ends and validate:
                validation = validate(way.fetch(state).variables)
                accuracy = validation.accuracy
                row = row_of(plan, step, "validation", validation.means())
                rows.append(row | {"seconds": clock.seconds()})
            for row in rows:
                watch(plan, row)
                log(row)
            if saves:
                _save(plan, save, step, way.fetch(state), clock, accuracy)
            if rows:
                counted, since = step, clock.seconds()
            if epoch_ends:
                progress.epoch_done(*rows)
                on_epoch(rows)
                order = way.place(draw(step // per_epoch))
            if signal is not None:
                raise Interrupted(step, signal)
    return way.fetch(state)


def _save(
    plan: Plan,
    save: Callable[..., None],
    step: int,
    state: TrainState,
    clock: Clock,
    accuracy: float | None,
) -> None:
    try:
        save(step, state, clock.as_json(), accuracy)
    except NotFinite as error:
        raise Diverged(_advice(plan, step, str(error))) from error


def out_of_patience(plan: Plan, rows: list[dict[str, Any]]) -> bool:
    """Whether validation has had its `patience` of epochs without rising above its best."""
    patience = plan.experiment.patience
    accuracies = [row["accuracy"] for row in rows if row["split"] == "validation"]
    if patience is None or len(accuracies) <= patience:
        return False
    return max(accuracies[-patience:]) <= max(accuracies[:-patience])


def row_of(plan: Plan, step: int, split: str, means: dict[str, float]) -> dict[str, Any]:
    return {"step": step, "epoch": step / plan.steps_per_epoch, "split": split, **means}


def watch(plan: Plan, row: dict[str, Any]) -> None:
    """Raises Diverged where a row's loss is not finite."""
    if not math.isfinite(row["loss"]):
        what = f"the {row['split']} loss is {row['loss']} at step {row['step']:,}"
        raise Diverged(_advice(plan, row["step"], what))


def _advice(plan: Plan, step: int, what: str) -> str:
    return (
        f"{what}, learning rate {plan.learning_rate(step - 1):g}: try a lower optimizer.peak_lr, "
        "or optimizer.clip_norm=1"
    )

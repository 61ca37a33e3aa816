"""The loop over the steps of a run: it trains, and asks for rows, checkpoints and validation."""

import collections
import contextlib
import functools
import math
from contextlib import AbstractContextManager
from typing import Any, Protocol

import jax

from cnn_jax.data import Dataset
from cnn_jax.errors import RunFailed
from cnn_jax.experiment import Plan
from cnn_jax.runtime import host, signals
from cnn_jax.runtime.parallel import IN_FLIGHT, Parallel
from cnn_jax.training.clock import Clock
from cnn_jax.training.evaluator import Evaluation, Evaluator
from cnn_jax.training.feed import feed
from cnn_jax.training.order import draw_order
from cnn_jax.training.random_keys import streams
from cnn_jax.training.state import TrainState
from cnn_jax.training.tracing import LoweredSteps


class Diverged(RunFailed):
    """The loss, or a number in the state, is NaN or infinite."""

    def __init__(self, plan: Plan, step: int, what: str):
        super().__init__(
            f"{what}, learning rate {plan.learning_rate(step - 1):g}: try a lower "
            "optimizer.peak_lr, or optimizer.clip_norm=1"
        )


class Interrupted(RunFailed):
    """A signal stopped the run after a save: `runtime.signals.SIGNALS`. `signal` is its number."""

    def __init__(self, step: int, number: int):
        super().__init__(
            f"interrupted: step {step:,} is saved; the same command with its --workdir resumes"
        )
        self.signal = number


class Setup(Protocol):
    """What the loop needs of a run; `cnn_jax.setup.Setup` is one."""

    @property
    def plan(self) -> Plan: ...
    @property
    def data(self) -> Dataset: ...
    @property
    def parallel(self) -> Parallel: ...
    @property
    def teacher(self) -> Any: ...
    @property
    def lowered_steps(self) -> LoweredSteps: ...


class Recorder(Protocol):
    """Where the loop's results go; `cnn_jax.runs.recorder.Recorder` is one."""

    clock: Clock

    def progress(self, start: int) -> AbstractContextManager[Any]:
        """A block that shows the progress from step `start` on and counts training time."""

    def update(self, step: int, means: dict[str, float]) -> None:
        """Shows that `step` steps are done."""

    def rows(self) -> list[dict[str, Any]]:
        """All rows recorded so far, oldest first."""

    def record(self, row: dict[str, Any]) -> None:
        """Records a row of metrics; it is on disk when this returns."""

    def save(self, step: int, state: TrainState, measure: float | None) -> None:
        """Starts to save a checkpoint, with the measure `select_by` where that is known."""

    def epoch_done(self, rows: list[dict[str, Any]]) -> None:
        """Shows the rows of an epoch that has ended."""


def run_steps(
    setup: Setup,
    state: TrainState,
    recorder: Recorder,
    *,
    log_every_steps: int | None = None,
    save_every_steps: int | None = None,
) -> TrainState:
    """Takes every step that is left of a run; a compiled program advances the state.

    With a `patience`, the run may end early, at the end of an epoch.

    Args:
      setup: The run.
      state: The state before the next step.
      recorder: Takes the rows and the checkpoints.
      log_every_steps: Also record a training row every so many steps; None: at each epoch's end.
      save_every_steps: Also save a checkpoint every so many steps; None: at each epoch's end.

    Returns:
      The state after the last step, as arrays that `jit` takes.

    Raises:
      Diverged: the loss, or a number in the state, is NaN or infinite.
      Interrupted: a signal asked the run to stop; the state is saved.
    """
    plan, data, devices = setup.plan, setup.data, setup.parallel
    per_epoch, last = plan.steps_per_epoch, plan.total_steps
    log_every, save_every = log_every_steps or last, save_every_steps or last
    start = int(state.step)
    with contextlib.ExitStack() as stack:
        with recorder.clock.compiling():
            # First: processes that decode images start while the steps are compiled.
            data_of_step = stack.enter_context(feed(plan, data, devices, start))
            keys = streams(plan.experiment.seed)
            draw = jax.jit(functools.partial(draw_order, plan, keys.order))
            keys, teacher = map(devices.place, (keys, setup.teacher))
            order = devices.place(draw(start // per_epoch, data.train.labels))
            state = devices.place(state)
            full_step, partial_step = setup.lowered_steps.compile()
            validate = None
            if data.validation:
                variables = devices.fetch(state).variables
                validate = Evaluator(plan, variables, data.validation, devices=devices.devices)
        host.release_freed_memory()

        in_flight: collections.deque[tuple[int, Any]] = collections.deque()

        def wait(most: int) -> dict[str, float]:
            """Waits until at most so many steps are in flight; the means at the last one done.

            Checks the loss after every step, so that the message names the first not finite.
            """
            means: dict[str, float] = {}
            while len(in_flight) > most:
                number, sums = in_flight.popleft()
                means = devices.fetch(sums).means()
                check_finite(plan, metrics_row(plan, number, "train", means))
            return means

        with recorder.progress(start), signals.noted() as stop:
            data_of_step.reset()
            logged_step, logged_at = start, recorder.clock.seconds()
            for step in range(start + 1, last + 1):
                begins = (step - 1) % per_epoch == 0
                if begins and plan.experiment.patience and out_of_patience(plan, recorder.rows()):
                    break
                # -- Take the step
                train_step = partial_step if partial_step and step % per_epoch == 0 else full_step
                state, sums = train_step(state, data_of_step(), order, keys, teacher)
                in_flight.append((step, sums))
                means = wait(IN_FLIGHT)
                if means:
                    recorder.update(step - IN_FLIGHT, means)
                # -- Measure
                signal = stop.after(step)
                epoch_ends = step % per_epoch == 0 or step == last
                logs = epoch_ends or step % log_every == 0
                saves = epoch_ends or step % save_every == 0 or signal is not None
                rows, measure = [], None
                if logs or saves:
                    means = wait(0)
                if logs:
                    row = metrics_row(plan, step, "train", means)
                    seconds = recorder.clock.seconds()
                    row["learning_rate"] = plan.learning_rate(step - 1)
                    trained = plan.examples(step) - plan.examples(logged_step)
                    row["images_per_second"] = trained / (seconds - logged_at)
                    row["seconds"] = seconds
                    if plan.data.streamed:
                        row["input_wait"] = data_of_step.reset() / (seconds - logged_at)
                    rows.append(row)
                if epoch_ends and validate:
                    validation = validation_means(plan, validate(devices.fetch(state).variables))
                    measure = validation[plan.experiment.select_by]
                    row = metrics_row(plan, step, "validation", validation)
                    rows.append(row | {"seconds": recorder.clock.seconds()})
                # -- Record: a row is on disk before the checkpoint of its step
                for row in rows:
                    check_finite(plan, row)
                    recorder.record(row)
                if saves:
                    recorder.save(step, devices.fetch(state), measure)
                if rows:
                    logged_step, logged_at = step, recorder.clock.seconds()
                if epoch_ends:
                    recorder.epoch_done(rows)
                    order = devices.place(draw(step // per_epoch, data.train.labels))
                if signal is not None:
                    raise Interrupted(step, signal)
        return devices.fetch(state)


def out_of_patience(plan: Plan, rows: list[dict[str, Any]]) -> bool:
    """Whether the last `patience` epochs brought no new best of the measure `select_by`."""
    patience, measure = plan.experiment.patience, plan.experiment.select_by
    measured = [row[measure] for row in rows if row["split"] == "validation"]
    if patience is None or len(measured) <= patience:
        return False
    return max(measured[-patience:]) <= max(measured[:-patience])


def validation_means(plan: Plan, validation: Evaluation) -> dict[str, float]:
    """The numbers of a validation row; the measure `select_by` is among them."""
    if plan.experiment.select_by == "accuracy":
        return validation.means()
    return validation.means() | {"balanced_accuracy": validation.balanced_accuracy()}


def metrics_row(plan: Plan, step: int, split: str, means: dict[str, float]) -> dict[str, Any]:
    """A row of metrics.jsonl: what was measured on a split after a step."""
    return {"step": step, "epoch": step / plan.steps_per_epoch, "split": split, **means}


def check_finite(plan: Plan, row: dict[str, Any]) -> None:
    """Raises Diverged if a row's loss is NaN or infinite."""
    if not math.isfinite(row["loss"]):
        what = f"the {row['split']} loss is {row['loss']} at step {row['step']:,}"
        raise Diverged(plan, row["step"], what)

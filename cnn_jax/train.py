"""Trains an experiment in a run's folder, from the data to a test accuracy."""

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

from cnn_jax import config
from cnn_jax.experiment import Experiment, Plan
from cnn_jax.runs.follower import Follower
from cnn_jax.runs.recorder import OnEpoch, Recorder
from cnn_jax.runs.summary import ended_early, headline, verdict
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import cluster
from cnn_jax.setup import Setup
from cnn_jax.tracking.writer import Writer
from cnn_jax.training.clock import Clock
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.loop import Diverged, Interrupted, run_steps
from cnn_jax.training.state import TrainState

__all__ = ["Diverged", "Interrupted", "Result", "Writer", "train"]


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A run's result.

    Attributes:
      summary: The content of summary.json.
      plan: The run's plan.
      state: The state that was tested: the last, or the best with `keep_best`; None if the run had
        finished before and its checkpoints are lost, or are process 0's alone.
    """

    summary: dict[str, Any]
    plan: Plan
    state: TrainState | None


def train(
    experiment: Experiment,
    workdir: str | os.PathLike[str] | Run,
    *,
    recipe: config.Recipe | None = None,
    data_dir: str | None = None,
    log_every_steps: int | None = None,
    save_every_steps: int | None = None,
    on_epoch: OnEpoch | None = None,
    writers: Iterable[Writer] = (),
    console: Any = None,
) -> Result:
    """Trains an experiment, or resumes its run where it stopped.

    In a job of several processes (`jax.distributed`), each must call this; process 0 alone uses the
    folder, prints, and calls `on_epoch` and the writers.

    Args:
      experiment: What to train.
      workdir: The run's folder, or a `Run`. If it holds a finished run, its result is returned.
      recipe: Where the experiment and the run's own classes come from.
      data_dir: Where TFDS data is; default: `$TFDS_DATA_DIR`, then `~/tensorflow_datasets`.
      log_every_steps: Also record the epoch's running means every so many steps.
      save_every_steps: Also save a checkpoint every so many steps; each epoch's end is saved.
      on_epoch: Called with the rows of metrics of each epoch.
      writers: Trackers, which receive what is recorded; one that fails is left out.
      console: A `rich.console.Console`; `Console(quiet=True)` prints nothing.

    Raises:
      UserError: the experiment does not fit its data, the devices, its teacher or the folder.
      DataUnavailable: the data is not there and cannot be downloaded.
      Diverged: the loss, or a number in the state, became NaN or infinite.
      Interrupted: a signal, such as SIGTERM, asked the run to stop; the same call resumes.
      CheckpointError: a state cannot be saved or restored.
      RunFailed: the run has lost its checkpoints, or its folder.
    """
    # -- Check everything; write nothing
    run, clock = Run.at(workdir), Clock()
    setup = Setup.of(experiment, recipe, data_dir, run=run)
    plan = setup.plan
    if not (cluster.leads() and run.summary()):
        with clock.compiling():
            _ = setup.lowered_steps  # raises UserError if a component cannot take a step

    # -- Open the run: lock, identity, logs, clock
    recording = Recorder if cluster.leads() else Follower
    with recording.open(
        run,
        plan,
        recipe=recipe,
        teacher=setup.teacher_digest,
        clock=clock,
        writers=writers,
        on_epoch=on_epoch,
        console=console,
    ) as recorder:
        recorder.say(setup.note, recorder.note, headline(plan, run, setup.shapes.params))
        if recorder.summary:
            recorder.say(f"finished already: {verdict(recorder.summary)}")
            return Result(recorder.summary, plan, recorder.kept_state())

        # -- Begin or resume
        state = recorder.restore_latest(setup.shapes)
        if state is None:
            state, loaded = setup.first_state(clock)
            recorder.say(loaded)
        recorder.open_logs(int(state.step))

        # -- Train
        state = run_steps(
            setup,
            cluster.broadcast_arrays(state),
            recorder,
            log_every_steps=log_every_steps,
            save_every_steps=save_every_steps,
        )
        reached = int(state.step)
        recorder.say(ended_early(plan, reached))

        # -- Test once, finish
        tested = cluster.broadcast_arrays(recorder.state_to_test(state))
        with clock.compiling():
            devices = setup.parallel.devices
            evaluator = Evaluator(plan, tested.variables, setup.data.test, devices=devices)
        summary = recorder.finish(evaluator(tested.variables), tested, reached)
    recorder.say(verdict(summary))
    return Result(summary, plan, tested)

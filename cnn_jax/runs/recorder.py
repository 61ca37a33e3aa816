"""Records a run while it trains: the only reader and writer of the run's folder meanwhile."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from cnn_jax import config
from cnn_jax.config.flat import every_field
from cnn_jax.errors import first_line
from cnn_jax.experiment import Plan
from cnn_jax.report.training_progress import Progress
from cnn_jax.runs import stored_predictions
from cnn_jax.runs.agreement import check_all_agree
from cnn_jax.runs.checkpoint import CheckpointError, NotFinite
from cnn_jax.runs.summary import draw_figures, summarise
from cnn_jax.runs.tensorboard import TensorBoard
from cnn_jax.runs.trained_run import check_log, lost_best, trained_state
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import cluster, hardware
from cnn_jax.storage import json_checks
from cnn_jax.storage.json_files import write_json
from cnn_jax.tracking.writer import Ending, TrackedRun, Writer
from cnn_jax.tracking.writers import Writers
from cnn_jax.training.clock import Clock
from cnn_jax.training.evaluator import Evaluation
from cnn_jax.training.loop import Diverged, Interrupted, check_finite, metrics_row
from cnn_jax.training.state import TrainState

OnEpoch = Callable[[list[dict[str, Any]]], None]


class Recorder:
    """The rows, checkpoints, progress and clock of a run that trains in this process.

    In a job of several processes, this is process 0; it tells the others (`Follower`) what it has.

    Attributes:
      run: The run's folder.
      plan: The run's plan.
      clock: Its training and compile time.
      note: A line for the user on a changed recipe file; "" if there is nothing to report.
      summary: The summary of a run that had finished before; None for one that trains.
    """

    def __init__(self, run: Run, plan: Plan, clock: Clock, console: Any):
        self.run, self.plan, self.clock = run, plan, clock
        self.note, self.summary = "", run.summary()
        self._console = console
        self._lines = Progress(0, 1, 0, console=console)  # its `note` prints permanent lines
        self._checkpoints = run.checkpoints(plan.experiment.keep_best, warn=self.say)
        self._board: TensorBoard | None = None
        self._writers = Writers((), self.say)
        self._stopped_by_caller = False
        self._on_epoch: OnEpoch = lambda rows: None

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        run: Run,
        plan: Plan,
        *,
        recipe: config.Recipe | None,
        teacher: str | None,
        clock: Clock,
        writers: Iterable[Writer] = (),
        on_epoch: OnEpoch | None = None,
        console: Any = None,
    ) -> Iterator[Self]:
        """Locks the run's folder and records the launch; a finished run is left unchanged.

        Args:
          run: The run's folder.
          plan: The run's plan.
          recipe: Where the experiment comes from.
          teacher: Digest of the teacher, if the run distils.
          clock: The time spent so far.
          writers: Receive what is recorded.
          on_epoch: Called with each epoch's rows.
          console: A `rich.console.Console`.

        Raises:
          UserError: another process trains there, or the folder holds a run of something else.
          RunFailed: the folder was moved or removed while the run was training.
        """
        with contextlib.ExitStack() as stack:
            check_all_agree(plan, recipe, teacher)
            if not run.summary():
                stack.enter_context(run.locked())
            # From here on the folder is read again: another process may have finished the run.
            note = run.begin(plan, recipe, hardware.manifest(), teacher)
            recorder = cls(run, plan, clock, console)
            cluster.broadcast("summary", recorder.summary)
            recorder.note, recorder._writers = note, Writers(writers, recorder.say)
            recorder._on_epoch = on_epoch or recorder._on_epoch
            stack.push(recorder._close_writers)
            if recorder.summary:  # a writer may lack what it missed while the run trained
                recorder._begin_writers()
                recorder._writers.finish(recorder.summary)
            try:
                with contextlib.closing(recorder):
                    yield recorder
            except (CheckpointError, OSError):
                run.check_still_there()  # if the folder was moved, the error says so
                raise
            except KeyboardInterrupt as stop:  # outside the steps, as while compiling or testing
                if not recorder.summary and (steps := run.checkpoints().steps()):
                    stop.add_note(
                        f"step {steps[-1]:,} is saved in {run.folder}; the same command with its "
                        "--workdir resumes"
                    )
                raise

    def close(self) -> None:
        """Finishes the save that has begun, however the run ends."""
        try:
            self._checkpoints.close()
        finally:
            if self._board:
                self._board.close()

    def _begin_writers(self) -> None:
        tracked = TrackedRun(
            identity=self.run.identity(),
            folder=self.run.folder,
            recipe=self.run.recipe_name(),
            settings=every_field(self.plan.experiment),
            launch=self.run.launches()[-1],
        )
        self._writers.begin(tracked, self.run.metrics.rows())

    def _close_writers(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        del kind, trace
        ending: Ending = "failed" if error else "finished"
        if self._stopped_by_caller or isinstance(error, (KeyboardInterrupt, Interrupted)):
            ending = "stopped"
        self._writers.close(ending)

    def say(self, *lines: str) -> None:
        """Prints lines that stay on the screen; empty ones are left out."""
        for line in filter(None, lines):
            self._lines.note(line)

    def kept_state(self) -> TrainState | None:
        """The tested state of a finished run; None if its checkpoints are lost or damaged."""
        try:
            return trained_state(self.run, self.plan)
        except CheckpointError as error:
            self.say(f"the run stays finished, but nothing can be restored from it: {error}")
            return None

    # -- Begin or resume

    def restore_latest(self, shapes: TrainState) -> TrainState | None:
        """The state of the newest good checkpoint; None if the run starts from the beginning.

        Raises:
          CheckpointError: all checkpoints are damaged.
          RunFailed: the run has lost its checkpoints.
        """
        checkpoints = self._checkpoints
        step = checkpoints.latest()
        if step is None:
            self.run.begin_checkpoints(self.plan.steps_per_epoch)
            checkpoints.discard_after(0)
            if self.run.metrics.rows():
                self.say(
                    "the run stopped before its first checkpoint: it starts from the beginning"
                )
            return None
        checkpoints.discard_after(step)
        state, saved = checkpoints.restore(step, shapes)
        numbers = dict.fromkeys(("train_seconds", "compile_seconds"), json_checks.NUMBER)
        fault = json_checks.fault(saved, **numbers)
        if fault:
            raise CheckpointError(
                f"{self.run.folder}: progress.json of step {step:,} is damaged: {fault}"
            )
        check_log(self.run, self.plan, step, saved.get("rows"))
        self.clock.add(saved["train_seconds"], saved["compile_seconds"])
        self.say(f"resumed at step {step:,} of {self.plan.total_steps:,}")
        if self.plan.experiment.keep_best:
            lost = lost_best(self.run, self.plan, checkpoints, checkpoints.best(), step)
            if lost:
                self.say(f"{lost}; the run can finish only if a later step is better")
        return state

    def open_logs(self, start: int) -> None:
        """Drops the rows after step `start`, and that of a test; opens TensorBoard's file."""
        self.run.metrics.truncate(start, without="test")
        cluster.broadcast("rows", self.run.metrics.rows())
        self._begin_writers()
        try:
            self._board = TensorBoard(self.run.folder / "tensorboard", purge_step=start)
        except ModuleNotFoundError as error:  # a machine where only JAX's own packages are there
            self.say(f"TensorBoard's files are not written: {error}")
            return
        # TensorBoard drops whole steps: the rows of `start` that stay are written again.
        for row in self.run.metrics.rows():
            if row["step"] == start:
                self._board.scalars(row)

    # -- Train: what the loop calls

    @contextlib.contextmanager
    def progress(self, start: int) -> Iterator[None]:
        """A block that shows the progress from step `start` on and counts training time."""
        plan = self.plan
        with Progress(
            plan.total_steps,
            plan.steps_per_epoch,
            plan.examples_per_epoch / plan.steps_per_epoch,
            start,
            self._console,
        ) as self._lines:
            self.clock.start()
            yield

    def update(self, step: int, means: dict[str, float]) -> None:
        """Shows that `step` steps are done."""
        self._lines.update(step, **means)

    def rows(self) -> list[dict[str, Any]]:
        """All rows recorded so far, oldest first."""
        return self.run.metrics.rows()

    def record(self, row: dict[str, Any]) -> None:
        """Records a row of metrics; it is on disk when this returns."""
        self.run.check_still_there()
        self.run.metrics.append(row)
        if self._board:
            self._board.scalars(row)
        self._writers.write(row)

    def save(self, step: int, state: TrainState, measure: float | None) -> None:
        """Starts to save a checkpoint; training continues meanwhile.

        Raises:
          Diverged: a number in the state is NaN or infinite.
          CheckpointError: the save before failed.
        """
        self.run.check_still_there()
        progress = self.clock.as_json() | {"rows": self.run.metrics.count}
        try:
            self._checkpoints.save(step, state, progress, measure)
        except NotFinite as error:
            raise Diverged(self.plan, step, str(error)) from error

    def epoch_done(self, rows: list[dict[str, Any]]) -> None:
        """Shows the rows of an epoch that has ended."""
        self._lines.epoch_done(*rows)
        try:
            self._on_epoch(rows)
        except Exception:
            self._stopped_by_caller = True
            raise

    # -- Finish

    def state_to_test(self, last: TrainState) -> TrainState:
        """Waits for the last save and stops the clock; the last state, or the best if kept."""
        self._checkpoints.wait()
        self.clock.stop()
        if not self.plan.experiment.keep_best:
            return last
        best = trained_state(self.run, self.plan)
        epoch = int(best.step) / self.plan.steps_per_epoch
        self.say(f"testing the weights of epoch {epoch:g}, the best on validation")
        return best

    def finish(self, test: Evaluation, state: TrainState, reached: int) -> dict[str, Any]:
        """Records the test, draws the figures and writes, last of all, the summary.

        Args:
          test: The evaluation on the test set.
          state: The state that was tested, the last or the best.
          reached: Number of steps taken.

        Returns:
          The content of summary.json.

        Raises:
          Diverged: the test loss is NaN or infinite.
          CheckpointError: the last checkpoint was damaged since it was saved.
        """
        row = metrics_row(self.plan, reached, "test", test.means())
        row["seconds"] = self.clock.seconds()
        check_finite(self.plan, row)
        self.record(row)
        try:
            draw_figures(self.plan, self.run, test, state)
        except OSError:
            raise
        except Exception as error:  # a custom model may have no figure; its number must not be lost
            self.say(f"figures are missing: {type(error).__name__}: {first_line(error)}")
        stored_predictions.write(self.run.folder, test)
        summary = summarise(self.plan, self.run, test, state, reached, self.clock)
        # With the summary the run is finished: its last checkpoint must be good.
        if self._checkpoints.latest() != reached:
            raise CheckpointError(
                f"{self.run.folder}: the last checkpoint was damaged since it was saved"
            )
        write_json(self.run.folder / "summary.json", summary)
        self._writers.finish(summary)
        return cluster.broadcast("result", summary)

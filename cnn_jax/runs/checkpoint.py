"""Checkpoints of the train state: written atomically with digests, and verified before reading.

A step's folder holds `state/` (written by Orbax), `progress.json`, and `SHA256SUMS`, which
`sha256sum -c` reads too. It is written under a temporary name and renamed last, so that a folder
with the name of a step was complete when it was written.
"""

import concurrent.futures
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import RunFailed, first_line
from cnn_jax.storage import digests, files, json_checks, pytrees

KEPT = 2
LOG = logging.getLogger(__name__)


class CheckpointError(RunFailed):
    """A checkpoint cannot be written or read."""


class NotFinite(CheckpointError):
    """The state to save holds NaN or infinity."""


class Checkpoints:
    """The checkpoints in a folder: the two newest, and with `keep_best` the best on validation.

    A save runs in the background while training continues; `close` waits for it.

    Args:
      folder: Holds one folder for each saved step.
      keep_best: Whether the step with the highest validation measure is kept too: the accuracy, or
        what the experiment's `select_by` names. progress.json has it as "validation_accuracy".
      warn: Called with a line for each checkpoint that is skipped, and why.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep_best: bool = False,
        warn: Callable[[str], None] = LOG.warning,
    ):
        self._folder = Path(folder).absolute()
        self._keep_best = keep_best
        self._warn = warn
        self._writer = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._saving: concurrent.futures.Future[None] | None = None

    def steps(self) -> list[int]:
        """Every step that has a folder, damaged or not, oldest first."""
        if not self._folder.is_dir():
            return []
        names = [entry.name for entry in self._folder.iterdir() if _filled(entry)]
        return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)

    def latest(self) -> int | None:
        """The newest undamaged step; None if nothing was saved.

        Raises:
          CheckpointError: every checkpoint is damaged.
        """
        return self._first_good(lambda: self.steps()[::-1])

    def best(self) -> int | None:
        """The undamaged step with the highest validation measure; None if none was evaluated."""
        return self._first_good(self._by_measure)

    def _by_measure(self) -> list[int]:
        """The steps with a validation measure: the highest first, then the newest."""
        found = []
        for step in self.steps():
            try:
                saved = json_checks.loads((self._folder / str(step) / "progress.json").read_bytes())
                measure = saved["validation_accuracy"]
            except (OSError, ValueError, TypeError, KeyError):
                continue  # damaged: its digests will show it
            if isinstance(measure, float):
                found.append((measure, step))
        return [step for _, step in sorted(found, reverse=True)]

    def _first_good(self, order: Callable[[], list[int]]) -> int | None:
        problems: list[str] = []
        for step in order():
            problem = self.problem(step)
            if problem and step not in self.steps():  # a process that trains has removed it
                return self._first_good(order)
            if not problem:
                for line in problems:
                    self._warn(f"{line}: going back to step {step:,}")
                return step
            problems.append(f"checkpoint {self._folder / str(step)} is damaged: {problem}")
        if problems:
            raise CheckpointError("; ".join(problems) + ": no good checkpoint is left")
        return None

    def problem(self, step: int) -> str:
        """Describes the damage to a step's folder; "" if there is none."""
        place = self._folder / str(step)
        if not place.exists():
            return f"{place} is missing"
        problem = digests.problem(place)
        if problem:
            return problem
        try:
            content = json_checks.loads((place / "progress.json").read_bytes())
        except (OSError, ValueError):
            return "progress.json can't be read"
        fault = json_checks.fault(content, progress=dict)
        if fault:
            return f"progress.json: {fault}"
        saved = content.get("step", step)
        return "" if saved == step else f"it is step {saved}, under another name"

    def discard_after(self, step: int) -> None:
        """Moves damaged and later checkpoints aside, and removes the leftovers of killed saves."""
        if not self._folder.is_dir():
            return
        for leftover in [*self._folder.glob("*.saving"), *self._folder.glob("*.old")]:
            files.remove(leftover)
        for other in self.steps():
            if other > step:  # told of already where it is damaged; it will be written anew
                self._put_aside(other)
            elif other < step and (problem := self.problem(other)):  # `step` is known to be good
                self._put_aside(other, problem)

    def _put_aside(self, step: int, problem: str = "") -> None:
        place = self._folder / str(step)
        aside = place.with_name(f"{step}.damaged")
        files.remove(aside)
        place.rename(aside)
        if problem:
            self._warn(f"checkpoint {place} is damaged: {problem}: it is now {aside.name}")

    def save(
        self, step: int, state: Any, progress: dict[str, Any], measure: float | None = None
    ) -> None:
        """Starts to save a step, after the previous save has finished.

        Args:
          step: Steps taken.
          state: A pytree of arrays; it may be donated as soon as this returns.
          progress: Other values that a resumed run needs, as JSON.
          measure: Validation measure of this step, by which `best` chooses; None if not measured.

        Raises:
          NotFinite: a number in the state is NaN or infinite.
          CheckpointError: this step was saved before, or the previous save failed.
        """
        self.wait()
        if step in self.steps():
            raise CheckpointError(f"step {step:,} is saved in {self._folder} already")
        # A copy: on a CPU, `device_get` returns the memory that the next step overwrites.
        copy = jax.tree.map(lambda x: np.array(x), jax.device_get(state))
        numbers = [x for x in jax.tree.leaves(copy) if jnp.issubdtype(x.dtype, jnp.inexact)]
        if not all(np.isfinite(x).all() for x in numbers):
            raise NotFinite(f"a number in the state of step {step:,} is NaN or infinite")
        content = {"step": step, "progress": progress, "validation_accuracy": measure}
        self._saving = self._writer.submit(self._write, step, copy, content)

    def _write(self, step: int, state: Any, content: dict[str, Any]) -> None:
        temporary = self._folder / f"{step}.saving"
        try:
            files.remove(temporary)
            temporary.mkdir(parents=True)
            pytrees.write(temporary / "state", state)
            files.write_atomically(temporary / "progress.json", json.dumps(content).encode())
            digests.seal(temporary)
            files.remove(self._folder / str(step))  # not a checkpoint: `save` has checked
            temporary.rename(self._folder / str(step))
            files.sync(self._folder)
            self._remove_old()
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _remove_old(self) -> None:
        kept = set(self.steps()[-KEPT:])
        if self._keep_best:
            kept |= set(self._by_measure()[:1])
        for step in self.steps():
            if step in kept:
                continue
            problem = self.problem(step) if self._keep_best else ""
            if problem:  # it may have been the best one
                self._put_aside(step, problem)
            else:
                old = self._folder / f"{step}.old"
                files.remove(old)
                # Renamed first: a step's folder that is half removed would look damaged.
                (self._folder / str(step)).rename(old)
                files.remove(old)

    def restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """The state and the progress of a step.

        Args:
          step: A saved step.
          like: A pytree of arrays or shapes with the state's structure.

        Raises:
          CheckpointError: the step is missing or damaged, or has another structure.
        """
        place = self._folder / str(step)
        problem = self.problem(step)
        if problem:
            raise CheckpointError(f"checkpoint {place} is damaged: {problem}")
        try:
            state = pytrees.read(place / "state", like)
            progress = json.loads((place / "progress.json").read_bytes())["progress"]
        except Exception as error:
            raise CheckpointError(
                f"step {step:,} cannot be restored: is the model still the one that was saved? "
                f"({first_line(error).rstrip(':')})"
            ) from error
        return state, progress

    def wait(self) -> None:
        """Waits until the save in progress is on disk.

        Raises:
          CheckpointError: it failed.
        """
        saving, self._saving = self._saving, None
        if saving:
            try:
                saving.result()
            except Exception as error:
                raise CheckpointError(f"a checkpoint was not saved: {first_line(error)}") from error

    def close(self) -> None:
        """Waits for the save in progress; nothing can be saved afterwards."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()


def _filled(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except (NotADirectoryError, FileNotFoundError):  # a process that trains may remove it
        return False

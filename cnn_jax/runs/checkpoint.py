"""Checkpoints of the train state: written whole, with digests, and read only if nothing changed.

A step's folder holds `state/`, which Orbax writes, `progress.json`, and `SHA256SUMS`, which
`sha256sum -c` reads too. It is written beside its place and renamed into it last: what has the name
of a step was complete once.
"""

from __future__ import annotations

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
    """A checkpoint could not be written or read; one line."""


class NotFinite(CheckpointError):
    """What was to be saved holds NaN or infinity."""


class Checkpoints:
    """The checkpoints below a folder: the newest two, and the best on validation if asked for.

    A save goes on in the background while training continues; `close` waits for it.

    Args:
      folder: Where the steps' folders go.
      keep_best: Whether the step with the highest validation accuracy is kept too.
      warn: Told in a line of each checkpoint that is passed over, and why.
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
        """Every step that has a folder, damaged ones too, oldest first."""
        if not self._folder.is_dir():
            return []
        names = [entry.name for entry in self._folder.iterdir() if _filled(entry)]
        return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)

    def latest(self) -> int | None:
        """The newest step that is as it was saved; None where nothing has been saved.

        Raises:
          CheckpointError: there are checkpoints, and all are damaged.
        """
        return self._first_good(lambda: self.steps()[::-1])

    def best(self) -> int | None:
        """The step of the highest validation accuracy; None where none was evaluated."""
        return self._first_good(self._by_accuracy)

    def _by_accuracy(self) -> list[int]:
        """The steps with a validation accuracy, the highest and then the newest first."""
        found = []
        for step in self.steps():
            try:
                saved = json_checks.loads((self._folder / str(step) / "progress.json").read_bytes())
                accuracy = saved["validation_accuracy"]
            except (OSError, ValueError, TypeError, KeyError):
                continue  # damaged, as its digests will tell
            if isinstance(accuracy, float):
                found.append((accuracy, step))
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
        """What is wrong with a step's folder; "" where it is as it was saved."""
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
            _remove(leftover)
        for other in self.steps():
            if other > step:  # told of already where it is damaged; it will be written anew
                self._put_aside(other)
            elif other < step and (problem := self.problem(other)):  # `step` is known to be good
                self._put_aside(other, problem)

    def _put_aside(self, step: int, problem: str = "") -> None:
        place = self._folder / str(step)
        aside = place.with_name(f"{step}.damaged")
        _remove(aside)
        place.rename(aside)
        if problem:
            self._warn(f"checkpoint {place} is damaged: {problem}: it is now {aside.name}")

    def save(
        self, step: int, state: Any, progress: dict[str, Any], accuracy: float | None = None
    ) -> None:
        """Starts saving a step, once the save before is on the disk.

        Args:
          step: Steps taken.
          state: A pytree of arrays; it may be donated as soon as this returns.
          progress: What else a resumed run must know, as JSON.
          accuracy: On validation, where it was measured at this step.

        Raises:
          NotFinite: a number in the state is NaN or infinite.
          CheckpointError: this step is saved already, or an earlier save failed.
        """
        self.wait()
        if step in self.steps():
            raise CheckpointError(f"step {step:,} is saved in {self._folder} already")
        # A copy: on a CPU, what `device_get` gives is the very memory that the next step reuses.
        copy = jax.tree.map(lambda x: np.array(x), jax.device_get(state))
        numbers = [x for x in jax.tree.leaves(copy) if jnp.issubdtype(x.dtype, jnp.inexact)]
        if not all(np.isfinite(x).all() for x in numbers):
            raise NotFinite(f"a number in the state of step {step:,} is NaN or infinite")
        content = {"step": step, "progress": progress, "validation_accuracy": accuracy}
        self._saving = self._writer.submit(self._write, step, copy, content)

    def _write(self, step: int, state: Any, content: dict[str, Any]) -> None:
        """Runs in the background."""
        temporary = self._folder / f"{step}.saving"
        try:
            _remove(temporary)
            temporary.mkdir(parents=True)
            pytrees.write(temporary / "state", state)
            files.write_atomically(temporary / "progress.json", json.dumps(content).encode())
            digests.seal(temporary)
            _remove(self._folder / str(step))  # no checkpoint: `save` has looked
            temporary.rename(self._folder / str(step))
            files.sync(self._folder)
            self._remove_old()
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _remove_old(self) -> None:
        kept = set(self.steps()[-KEPT:])
        if self._keep_best:
            kept |= set(self._by_accuracy()[:1])
        for step in self.steps():
            if step in kept:
                continue
            problem = self.problem(step) if self._keep_best else ""
            if problem:  # it may have been the best
                self._put_aside(step, problem)
            else:
                old = self._folder / f"{step}.old"
                _remove(old)
                # Under another name first: a step's folder that is half removed would seem damaged.
                (self._folder / str(step)).rename(old)
                _remove(old)

    def restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """The state and the progress of a step.

        Args:
          step: A saved step.
          like: A pytree of arrays or shapes of the state's structure.

        Raises:
          CheckpointError: where the step is not there, is damaged or is of another structure.
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
                f"step {step:,} could not be restored, is the model still the one that was saved? "
                f"({first_line(error).rstrip(':')})"
            ) from error
        return state, progress

    def wait(self) -> None:
        """Waits until what `save` has begun is on the disk.

        Raises:
          CheckpointError: where it failed.
        """
        saving, self._saving = self._saving, None
        if saving:
            try:
                saving.result()
            except Exception as error:
                raise CheckpointError(f"a checkpoint was not saved: {first_line(error)}") from error

    def close(self) -> None:
        """Waits like `wait`; nothing can be saved afterwards."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()


def _remove(path: Path) -> None:
    """Removes a folder as far as that can be done, or a file or link in its place, if there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _filled(folder: Path) -> bool:
    """Whether this is a folder with something in it."""
    try:
        return any(folder.iterdir())
    except (NotADirectoryError, FileNotFoundError):  # a process that trains may remove it
        return False

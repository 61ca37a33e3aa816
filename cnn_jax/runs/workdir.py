"""A run's folder: how it begins, its lock, its checkpoints and its log."""

import contextlib
import dataclasses
import itertools
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnn_jax import config
from cnn_jax.errors import RunFailed
from cnn_jax.experiment import Plan
from cnn_jax.runs import run_folder, run_paths, same_run
from cnn_jax.runs.checkpoint import Checkpoints
from cnn_jax.runs.metrics_log import MetricsLog
from cnn_jax.runs.run_records import RunError, RunRecords
from cnn_jax.storage import files
from cnn_jax.storage.json_files import write_json
from cnn_jax.storage.local_paths import local_path

# The folders that a run creates in its folder.
FOLDERS = ("checkpoints", "evaluations", "figures", "tensorboard")
# The files that a user might name by mistake as an output.
FILES = ("metrics.jsonl", "predictions.npz", "volumes.png")

# In the folder of a run of a sweep or search whose loss became infinite: it would again.
DIVERGED = "diverged.json"
# The files of a sweep and of a search, whose runs are in folders of their own.
OF_MANY_RUNS = ("sweep.json", "search.log")


class RunBusy(RunError):
    """Another process trains in the folder."""


class Run(RunRecords):
    """A run's folder.

    Attributes:
      metrics: The log of measurements, `metrics.jsonl`.
    """

    metrics: MetricsLog

    def __init__(self, folder: str | os.PathLike[str], *, new: bool = False):
        """Names a run; nothing is read or created.

        Args:
          folder: Its folder.
          new: Whether it is a run of its own even if `folder` exists by the time it begins: its
            folder is then FOLDER-1, FOLDER-2 and so on.

        Raises:
          UserError: the folder is a URL, such as `gs://bucket/run`.
        """
        super().__init__(local_path(folder, "workdir"), new=new)
        self._move_to(self.folder)

    @classmethod
    def at(cls, workdir: "str | os.PathLike[str] | Run") -> "Run":
        """The run in a folder; a `Run` is returned as it is."""
        return workdir if isinstance(workdir, Run) else cls(workdir)

    def _move_to(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = MetricsLog(folder / "metrics.jsonl")

    def begin(
        self,
        plan: Plan,
        recipe: config.Recipe | None,
        manifest: dict[str, Any],
        teacher: str | None = None,
    ) -> str:
        """Writes the run's identity, or checks it, and adds a launch to the manifest.

        A finished run is left unchanged, but for the paths of what has moved.

        Args:
          plan: The run's plan.
          recipe: Where the experiment comes from.
          manifest: The facts of this launch.
          teacher: Digest of the teacher; None without distillation.

        Returns:
          A note for the user; "" if there is nothing to report.

        Raises:
          RunError: the folder holds a run of another experiment or another teacher, or a file or a
            broken link is in the place of a folder.
        """
        if self.exists():
            note, moved = same_run.check_same(self, plan, recipe, teacher)
            if moved:
                paths = {**self.recorded_paths(), **moved}
                write_json(self.folder / "config.json", {**self.saved_config(), "paths": paths})
            if self.summary():
                return note
            launches = [*self.launches(), manifest]
        else:
            self._check_holds_nothing_else()
            note, launches = "", [manifest]
        identity = self.identity() or uuid.uuid4().hex
        self._check_room_for_folders()
        # config.json is written last: it makes the folder a run.
        write_json(self.folder / "manifest.json", {"id": identity, "launches": launches})
        if not self.exists():
            self._write_config(plan, recipe, teacher)
        return note

    def _check_holds_nothing_else(self) -> None:
        if self.checkpoints().steps() or self.metrics.rows():
            raise RunError(
                f"{self.folder} holds a run without its config.json: restore that file, or give "
                "another --workdir"
            )
        for name in OF_MANY_RUNS:
            if (self.folder / name).exists():
                raise RunError(f"{self.folder} holds many runs ({name}): give another --workdir")

    def _check_room_for_folders(self) -> None:
        for name in FOLDERS:
            path = self.folder / name
            if path.is_symlink() and not path.exists():
                raise RunError(
                    f"{path} is a link to {path.readlink()}, which does not exist: restore that, "
                    "or remove the link"
                )
            if path.exists() and not path.is_dir():
                raise RunError(f"{path} is a file, and a run needs a folder there: move it away")

    def _write_config(self, plan: Plan, recipe: config.Recipe | None, teacher: str | None) -> None:
        named = {}
        if recipe:
            named = {"name": recipe.name, "path": str(recipe.path), "sha256": recipe.sha256}
        write_json(
            self.folder / "config.json",
            {
                "experiment": config.to_text(plan.experiment),
                "recipe": named,
                "data": dataclasses.asdict(plan.data),
                "paths": run_paths.to_record(plan.experiment),
                **({"teacher": teacher} if teacher else {}),
            },
        )

    def check_still_there(self) -> None:
        """Raises RunFailed if the folder was moved or removed since the run began."""
        if not self.exists():
            raise RunFailed(f"{self.folder} was moved or removed while the run was training")

    def check_same(
        self, plan: Plan, recipe: config.Recipe | None, teacher: str | None = None
    ) -> str:
        """Raises RunError if the folder holds another run; returns a note like `begin`."""
        return same_run.check_same(self, plan, recipe, teacher).note

    def evaluation_folder(self, name: str, fingerprint: str) -> Path:
        """The folder for the evaluation on other data: an earlier one of that data, or a new one.

        Args:
          name: The data's name.
          fingerprint: The data's digest; other data of the same name has another folder.
        """
        slug = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "data"
        for number in itertools.count(1):
            folder = self.folder / "evaluations" / (f"{slug}-{number}" if number > 1 else slug)
            if RunRecords(folder).evaluation().get("fingerprint", fingerprint) == fingerprint:
                return folder
        raise AssertionError("unreachable")

    def checkpoints(self, keep_best: bool = False, **options: Any) -> Checkpoints:
        """The run's checkpoints."""
        return Checkpoints(self.folder / "checkpoints", keep_best, **options)

    def begin_checkpoints(self, first: int) -> None:
        """Checks that a run without checkpoints has lost none, and creates their folder.

        Args:
          first: The first step that is always saved.

        Raises:
          RunFailed: the log goes beyond that step, so checkpoints are missing.
        """
        logged = max((row["step"] for row in self.metrics.rows()), default=0)
        folder = self.folder / "checkpoints"
        # A kill before the end of the first save leaves the folder, and either a log up to that
        # step or a leftover of the save.
        never_saved = folder.is_dir() and (logged <= first or any(folder.glob("*.saving")))
        if logged and not never_saved:
            raise RunFailed(
                f"{self.folder}: metrics.jsonl goes to step {logged:,}, but {folder} holds no "
                "checkpoint: restore them, give another --workdir, or remove metrics.jsonl to "
                "start from the beginning"
            )
        folder.mkdir(exist_ok=True)  # before anything is logged

    @contextlib.contextmanager
    def created(self) -> Iterator[None]:
        """A block for which the folder exists; a new run gets one of its own here.

        If the block fails, folders that it created and left empty are removed.

        Raises:
          RunError: the folder can't be created.
        """
        with contextlib.ExitStack() as stack:
            with self._writable():
                folder = stack.enter_context(run_folder.created(self.folder, free_name=self.new))
            self.new = False
            self._move_to(folder)
            yield

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """A block that creates the folder and holds its lock: no other process trains here.

        If the block fails before the run has recorded anything, it leaves nothing behind.

        Raises:
          RunBusy: another process trains here.
          RunError: the folder can't be created.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.created())
            path = self.folder / ".lock"
            try:
                with self._writable():
                    stack.enter_context(files.locked(path, wait=False))
            except files.LockHeld as held:
                gone = f", or delete {held.marker} if it no longer runs" if held.marker else ""
                raise RunBusy(
                    f"{self.folder}: {held.holder} is training here; wait for it{gone}, or give "
                    "another --workdir"
                ) from None
            stack.enter_context(run_folder.undone_unless_recorded(self.folder, path))
            yield

    def held(self) -> bool:
        """Whether a process trains here now."""
        path = self.folder / ".lock"
        if self.new or not path.exists():
            return False
        try:
            with files.locked(path, wait=False):
                return False
        except files.LockHeld:
            return True

    @contextlib.contextmanager
    def _writable(self) -> Iterator[None]:
        """A block whose OSError is a mistake in --workdir, unless the disk is full."""
        try:
            yield
        except files.LockHeld:
            raise
        except OSError as error:
            if error.errno in files.NO_ROOM:
                raise
            place = next((p for p in (self.folder, *self.folder.parents) if p.is_symlink()), None)
            if place and not place.exists():
                reason = f"{place} is a link to {os.readlink(place)}, which does not exist"
            else:
                reason = str(error.strerror)
            raise RunError(f"--workdir={self.folder}: {reason}") from error


def written_by_a_run(path: Path) -> bool:
    """Whether a path is a file that the run around it writes itself."""
    path = path.resolve()
    return any(
        path.relative_to(folder).parts[0] in (*FOLDERS, *FILES)
        for folder in path.parents
        if RunRecords(folder).exists()
    )

"""A run's folder: its files, its lock, and what they record."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnn_jax import config
from cnn_jax.config.names import NAMES, names_of
from cnn_jax.errors import RunFailed, UserError
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runs import run_folder, run_paths
from cnn_jax.runs.checkpoint import Checkpoints
from cnn_jax.runs.data_changes import differences
from cnn_jax.runs.metrics_log import MetricsLog
from cnn_jax.storage import files, json_checks
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

# The keys that are read from summary.json, and the types of their values.
SUMMARY = {
    "test_accuracy": json_checks.NUMBER,
    "test_loss": json_checks.NUMBER,
    "validation_accuracy": json_checks.NUMBER_OR_NULL,
    "dataset": str,
    "parameters": int,
    "epochs": json_checks.NUMBER,
    "steps": int,
    "train_seconds": json_checks.NUMBER,
    "compile_seconds": json_checks.NUMBER,
    "finished": bool,
}


class RunError(UserError):
    """A folder holds no run, a damaged one, or a run of something else."""


class RunBusy(RunError):
    """Another process trains in the folder."""


class Run:
    """The files of a run.

    Attributes:
      folder: The run's folder.
      metrics: The log of measurements, `metrics.jsonl`.
      new: Whether the folder is still to be created, under a name that is free then.
    """

    folder: Path
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
        self.new = new
        self._move_to(local_path(folder, "workdir"))

    @classmethod
    def at(cls, workdir: "str | os.PathLike[str] | Run") -> "Run":
        """The run in a folder; a `Run` is returned as it is."""
        return workdir if isinstance(workdir, Run) else cls(workdir)

    def _move_to(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = MetricsLog(folder / "metrics.jsonl")

    def exists(self) -> bool:
        """Whether the folder holds a run; False for a new one before its folder is created."""
        return not self.new and (self.folder / "config.json").exists()

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
            note, moved = self._compare(plan, recipe, teacher)
            if moved:
                paths = {**self._recorded_paths(), **moved}
                write_json(self.folder / "config.json", {**self._config(), "paths": paths})
            if self.summary():
                return note
            launches = [*self.launches(), manifest]
        elif self.checkpoints().steps() or self.metrics.rows():
            raise RunError(
                f"{self.folder} holds a run without its config.json: restore that file, or give "
                "another --workdir"
            )
        else:
            for name in OF_MANY_RUNS:
                if (self.folder / name).exists():
                    raise RunError(
                        f"{self.folder} holds many runs ({name}): give another --workdir"
                    )
            note, launches = "", [manifest]
        identity = self.identity() or uuid.uuid4().hex
        for name in FOLDERS:
            path = self.folder / name
            if path.is_symlink() and not path.exists():
                raise RunError(
                    f"{path} is a link to {path.readlink()}, which does not exist: restore that, "
                    "or remove the link"
                )
            if path.exists() and not path.is_dir():
                raise RunError(f"{path} is a file, and a run needs a folder there: move it away")
        # config.json is written last: it makes the folder a run.
        write_json(self.folder / "manifest.json", {"id": identity, "launches": launches})
        if not self.exists():
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
        return note

    def check_still_there(self) -> None:
        """Raises RunFailed if the folder was moved or removed since the run began."""
        if not self.exists():
            raise RunFailed(f"{self.folder} was moved or removed while the run was training")

    def launches(self) -> list[dict[str, Any]]:
        """The entries of the manifest, one for each launch; empty without a manifest."""
        if not (self.folder / "manifest.json").exists():
            return []
        launches = self._read("manifest.json", launches=list)["launches"]
        if not all(isinstance(launch, dict) for launch in launches):
            raise RunError(f"{self.folder / 'manifest.json'} is damaged: a launch is not an object")
        return launches

    def identity(self) -> str:
        """32 hexadecimal digits that no other run has; "" if the run has not begun."""
        launches = self.launches()
        if not launches:
            return ""
        kept = self._read("manifest.json").get("id")
        # An older run has none: its first launch tells it apart as well as can be.
        first = json.dumps([str(self.folder.absolute()), launches[0]]).encode()
        return kept if isinstance(kept, str) else hashlib.sha256(first).hexdigest()[:32]

    def check_same(
        self, plan: Plan, recipe: config.Recipe | None, teacher: str | None = None
    ) -> str:
        """Raises RunError if the folder holds another run; returns a note like `begin`.

        A path may be spelled otherwise, if it names the same file or folder; if that is gone, the
        data and the teacher may be elsewhere, with the same content.
        """
        return self._compare(plan, recipe, teacher)[0]

    def _compare(
        self, plan: Plan, recipe: config.Recipe | None, teacher: str | None
    ) -> tuple[str, dict[str, str]]:
        """Like `check_same`; also returns where the paths that have moved are now, by field."""
        saved, recorded = self._config(), self._recorded_paths()
        known = {**names_of(recipe), **config.classes(plan.experiment)}
        verified = {"data", "distill"} if teacher and "teacher" in saved else {"data"}
        before, paths = None, run_paths.Compared(plan.experiment, {}, [])
        with contextlib.suppress(RunError):  # custom classes that this experiment does not know
            before = self._as_written(known)
            paths = run_paths.compare(before, plan.experiment, recorded, verified)
        now, moved, differing = paths
        if saved["experiment"] != config.to_text(now):
            # 8 epochs and 8.0 have different texts, and are the same
            differing += config.diff(before, now, known) if before else [saved["experiment"]]
        if differing:
            raise RunError(
                f"{self.folder} holds a run of another experiment ({'; '.join(differing)}): "
                f"give another --workdir, or the same experiment"
            )
        facts = self.data_facts()
        if facts.fingerprint != plan.data.fingerprint:
            raise RunError(
                f"{self.folder} holds a run on other data named {plan.data.name} "
                f"({differences(facts, plan.data)}): restore it, or give another --workdir"
            )
        if teacher and saved.get("teacher", teacher) != teacher:
            raise RunError(
                f"distill.teacher: its run has changed since the run in {self.folder} began: "
                "restore it, or give another --workdir"
            )
        notes = [f"note: {name} has moved to {path}" for name, path in moved.items()]
        sha256 = saved["recipe"].get("sha256")
        if recipe and sha256 not in (None, recipe.sha256):
            notes.append(f"note: {recipe.path} has changed since this run began")
        return "\n".join(notes), moved

    def experiment(self, names: Any = NAMES) -> Experiment:
        """The run's experiment; no code from the folder is executed.

        Its paths can be used from any working directory: a relative one that names something else
        from here is replaced by what it named when the run began, if that exists.

        Raises:
          RunError: it needs a class that only its recipe file defines.
        """
        return run_paths.as_recorded(self._as_written(names), self._recorded_paths())

    def with_recorded_paths(
        self, experiment: Experiment, recipe: config.Recipe | None
    ) -> Experiment:
        """The experiment, to resume this run from any working directory.

        A path that is spelled as in this run, and does not exist from here, is replaced by what it
        named when the run began. An experiment of another run is returned unchanged.
        """
        if not self.exists() or not self._recorded_paths():
            return experiment
        try:
            own = self._as_written({**names_of(recipe), **config.classes(experiment)})
        except RunError:  # it has custom classes that this experiment does not know
            return experiment
        return run_paths.completed(experiment, own, self._recorded_paths())

    def _as_written(self, names: Any) -> Experiment:
        """The run's experiment, with the paths as they were written."""
        saved = self._config()
        try:
            return config.from_text(saved["experiment"], names, saved=True)
        except config.ConfigError as error:
            unknown = sorted(config.called(saved["experiment"]) - names.keys())
            if not unknown:
                raise RunError(f"{self.folder}/config.json: {error}") from error
            path = saved["recipe"].get("path", "its recipe file")
            raise RunError(
                f"{self.folder}: {' and '.join(unknown)} unknown: name the run's recipe, "
                f"--config={path}, or restore(..., recipe=...)"
            ) from error

    def _recorded_paths(self) -> dict[str, str]:
        """The absolute paths that config.json records, by field; empty for older runs."""
        paths = self._config().get("paths", {})
        if not isinstance(paths, dict) or not all(isinstance(p, str) for p in paths.values()):
            raise RunError(f"{self.folder / 'config.json'} is damaged: its paths are no texts")
        return paths

    def plan(
        self, recipe: config.Recipe | Experiment | None = None, *, as_written: bool = False
    ) -> Plan:
        """The run's plan, without its data; its paths are those of `experiment`, or as written."""
        names = names_of(recipe)
        experiment = self._as_written(names) if as_written else self.experiment(names)
        return Plan.of(experiment, self.data_facts())

    def data_facts(self) -> DataFacts:
        """The facts of the run's data."""
        saved = self._config()["data"]
        saved = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
        try:
            facts = DataFacts(**saved)
            config.check(facts, "data")
        except (TypeError, config.ConfigError) as error:
            raise RunError(f"{self.folder / 'config.json'} is damaged: {error}") from error
        return facts

    def experiment_text(self) -> str:
        """The run's experiment as a constructor expression, without building it."""
        return self._config()["experiment"]

    def recipe_name(self) -> str:
        """The name of the run's recipe; "" without one."""
        return self._config()["recipe"].get("name", "")

    def recipe_path(self) -> str:
        """The file of the run's recipe; "" without one."""
        return self._config()["recipe"].get("path", "")

    def summary(self) -> dict[str, Any] | None:
        """The content of summary.json; None until the run has finished.

        Raises:
          RunError: summary.json is damaged.
        """
        if self.new or not (self.folder / "summary.json").exists():
            return None
        try:
            return self._read("summary.json", **SUMMARY)
        except RunError as error:
            raise RunError(
                f"{error}; remove it, and repeat the training command to write it again"
            ) from error

    def evaluation(self) -> dict[str, Any]:
        """The content of evaluation.json; empty if it is missing or damaged."""
        try:
            content = json_checks.loads((self.folder / "evaluation.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def evaluation_folder(self, name: str, fingerprint: str) -> Path:
        """The folder for the evaluation on other data: an earlier one of that data, or a new one.

        Args:
          name: The data's name.
          fingerprint: The data's digest; other data of the same name has another folder.
        """
        slug = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "data"
        for number in itertools.count(1):
            folder = self.folder / "evaluations" / (f"{slug}-{number}" if number > 1 else slug)
            if Run(folder).evaluation().get("fingerprint", fingerprint) == fingerprint:
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

    def _config(self) -> dict[str, Any]:
        return self._read("config.json", experiment=str, recipe=dict, data=dict)

    def _read(self, name: str, **kinds: Any) -> dict[str, Any]:
        path = self.folder / name
        try:
            content = json_checks.loads(path.read_bytes())
            fault = json_checks.fault(content, **kinds)
            if fault:
                raise ValueError(fault)
            return content
        except OSError as error:
            raise RunError(f"no run at {self.folder}: {name}: {error.strerror}") from None
        except ValueError as error:
            raise RunError(f"{path} is damaged: {error}") from error


def written_by_a_run(path: Path) -> bool:
    """Whether a path is a file that the run around it writes itself."""
    path = path.resolve()
    return any(
        path.relative_to(folder).parts[0] in (*FOLDERS, *FILES)
        for folder in path.parents
        if Run(folder).exists()
    )

"""A run's folder: its files, and what they say."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnn_jax import config
from cnn_jax.config.names import NAMES, names_of
from cnn_jax.errors import RunFailed, UserError
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runs.checkpoint import Checkpoints
from cnn_jax.runs.metrics_log import MetricsLog
from cnn_jax.storage import files, json_checks
from cnn_jax.storage.json_files import write_json

# The folders that a run makes in its own.
FOLDERS = ("checkpoints", "figures", "tensorboard")
# The files that it makes beside them, and for which something else could be taken.
FILES = ("metrics.jsonl", "volumes.png")

# What is read of summary.json: keys, and the types of their values.
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
    """A run's folder is not what was asked for; one line."""


class Run:
    """The files of a run.

    Attributes:
      folder: The run's folder.
      metrics: The log of measurements, `metrics.jsonl`.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        try:
            self.folder = Path(folder).expanduser()
        except RuntimeError as error:
            raise RunError(f"{folder}: {error}") from error
        self.metrics = MetricsLog(self.folder / "metrics.jsonl")

    def exists(self) -> bool:
        """Whether a run has begun here."""
        return (self.folder / "config.json").exists()

    def begin(
        self,
        plan: Plan,
        recipe: config.Recipe | None,
        manifest: dict[str, Any],
        teacher: str | None = None,
    ) -> str:
        """Writes down what the run is, or checks that it is the same; adds to the manifest.

        A finished run is left as it is.

        Args:
          plan: The run's plan.
          recipe: Where the experiment comes from.
          manifest: What this launch is.
          teacher: Digest of the run that this one distils, if any.

        Returns:
          What the user should know; "" if nothing.

        Raises:
          RunError: where another experiment has run here, or one with another teacher, or a file or
            a broken link is where a folder has to be.
        """
        if self.exists():
            note = self.check_same(plan, recipe, teacher)
            if self.summary():
                return note
            launches = [*self.launches(), manifest]
        elif self.checkpoints().steps() or self.metrics.rows():
            raise RunError(
                f"{self.folder} holds a run without its config.json: put that back, or give "
                "another --workdir"
            )
        else:
            note, launches = "", [manifest]
        for name in FOLDERS:
            path = self.folder / name
            if path.is_symlink() and not path.exists():
                raise RunError(
                    f"{path} is a link to {path.readlink()}, which is not there: put that back, "
                    "or remove the link"
                )
            if path.exists() and not path.is_dir():
                raise RunError(f"{path} is a file, and a run has a folder there: move it away")
        # config.json comes last: with it, the run exists.
        write_json(self.folder / "manifest.json", {"launches": launches})
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
                    **({"teacher": teacher} if teacher else {}),
                },
            )
        return note

    def check_still_there(self) -> None:
        """Raises RunFailed where the folder has been moved or removed since the run began."""
        if not self.exists():
            raise RunFailed(f"{self.folder} has been moved or removed while the run was training")

    def launches(self) -> list[dict[str, Any]]:
        """The manifest's entries so far, one a launch; a run can do without."""
        if not (self.folder / "manifest.json").exists():
            return []
        launches = self._read("manifest.json", launches=list)["launches"]
        if not all(isinstance(launch, dict) for launch in launches):
            raise RunError(f"{self.folder / 'manifest.json'} is damaged: a launch is no object")
        return launches

    def check_same(
        self, plan: Plan, recipe: config.Recipe | None, teacher: str | None = None
    ) -> str:
        """Raises RunError where what has run here is something else; else as `begin` returns."""
        saved = self._config()
        if saved["experiment"] != config.to_text(plan.experiment):
            known = {**names_of(recipe), **config.classes(plan.experiment)}
            try:
                before = self.experiment(known)
            except RunError:  # it has classes that this one doesn't know
                differences = [saved["experiment"]]
            else:
                differences = config.diff(before, plan.experiment)
            if differences:  # 8 epochs and 8.0 are written differently, and are the same
                raise RunError(
                    f"{self.folder} holds a run of another experiment ({'; '.join(differences)}): "
                    f"give another --workdir, or the same experiment"
                )
        if self.data_facts().fingerprint != plan.data.fingerprint:
            raise RunError(f"{self.folder} holds a run on other data of the name {plan.data.name}")
        if teacher and saved.get("teacher", teacher) != teacher:
            raise RunError(
                f"distill.teacher: its run has changed since the one in {self.folder} began: put "
                "it back as it was, or give another --workdir"
            )
        began_with = saved["recipe"].get("sha256")
        if recipe and began_with not in (None, recipe.sha256):
            return f"note: {recipe.path} has changed since this run began"
        return ""

    def experiment(self, names: Any = NAMES) -> Experiment:
        """The run's experiment. Nothing of the folder is executed.

        Raises:
          RunError: where it needs a class that only its recipe file defines.
        """
        saved = self._config()
        try:
            return config.from_text(saved["experiment"], names)
        except config.ConfigError as error:
            unknown = sorted(config.called(saved["experiment"]) - names.keys())
            if not unknown:
                raise RunError(f"{self.folder}/config.json: {error}") from error
            path = saved["recipe"].get("path", "its recipe file")
            raise RunError(
                f"{self.folder}: {' and '.join(unknown)} can't be found: name the run's recipe, "
                f"--config={path}, or restore(..., recipe=...)"
            ) from error

    def plan(self, recipe: config.Recipe | Experiment | None = None) -> Plan:
        """The run's plan, without its data."""
        return Plan.of(self.experiment(names_of(recipe)), self.data_facts())

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
        """The run's experiment as a constructor expression, of which nothing is built."""
        return self._config()["experiment"]

    def recipe_name(self) -> str:
        """The name of the recipe that the run began with; "" where it had none."""
        return self._config()["recipe"].get("name", "")

    def recipe_path(self) -> str:
        """The file of that recipe; "" where it had none."""
        return self._config()["recipe"].get("path", "")

    def summary(self) -> dict[str, Any] | None:
        """What the run came to; None as long as it has not finished.

        Raises:
          RunError: summary.json is damaged.
        """
        if not (self.folder / "summary.json").exists():
            return None
        try:
            return self._read("summary.json", **SUMMARY)
        except RunError as error:
            raise RunError(f"{error}; remove it, and the command that trained makes it") from error

    def evaluation(self) -> dict[str, Any]:
        """The content of evaluation.json; empty where there is none, or none that can be read."""
        try:
            content = json_checks.loads((self.folder / "evaluation.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def checkpoints(self, keep_best: bool = False, **options: Any) -> Checkpoints:
        """The run's checkpoints."""
        return Checkpoints(self.folder / "checkpoints", keep_best, **options)

    def begin_checkpoints(self, first: int) -> None:
        """Checks that a run without a checkpoint has lost none, and makes the folder for them.

        Args:
          first: A step that is always saved.

        Raises:
          RunFailed: the folder of the checkpoints is gone, or it is empty and the log goes further
            than that step.
        """
        logged = max((row["step"] for row in self.metrics.rows()), default=0)
        folder = self.folder / "checkpoints"
        # A kill may have come before the first save was done: then its folder is there, and the
        # log goes no further or the save has left something.
        never_saved = folder.is_dir() and (logged <= first or any(folder.glob("*.saving")))
        if logged and not never_saved:
            raise RunFailed(
                f"{self.folder}: metrics.jsonl goes to step {logged:,}, and {folder} holds no "
                "checkpoint: put them back, give another --workdir, or remove metrics.jsonl to "
                "start from the beginning"
            )
        folder.mkdir(exist_ok=True)  # before anything is logged

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder, and keeps other processes from training in it.

        Raises:
          RunError: another process trains here, or the folder can't be made.
        """
        path = self.folder / ".lock"
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(files.locked(path, wait=False))
            except BlockingIOError:
                raise RunError(
                    f"{self.folder}: process {path.read_text().strip()} is training here; wait for "
                    "it, or give another --workdir"
                ) from None
            except OSError as error:
                if error.errno in files.NO_ROOM:
                    raise
                raise RunError(f"--workdir={self.folder}: {error.strerror}") from error
            yield

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
    """Whether a path is one that the run whose folder it lies in writes itself."""
    path = path.resolve()
    return any(
        path.relative_to(folder).parts[0] in (*FOLDERS, *FILES)
        for folder in path.parents
        if Run(folder).exists()
    )

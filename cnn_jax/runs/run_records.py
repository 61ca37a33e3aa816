"""What a run has recorded in its folder, read and checked."""

import hashlib
import json
from pathlib import Path
from typing import Any

from cnn_jax import config
from cnn_jax.config.names import NAMES, names_of
from cnn_jax.errors import UserError
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runs import run_paths
from cnn_jax.storage import json_checks

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


class RunRecords:
    """The records of a run: config.json, manifest.json, summary.json and evaluation.json.

    Attributes:
      folder: The run's folder.
      new: Whether the folder is still to be created, under a name that is free then.
    """

    def __init__(self, folder: Path, *, new: bool = False):
        self.folder, self.new = folder, new

    def exists(self) -> bool:
        """Whether the folder holds a run; False for a new one before its folder is created."""
        return not self.new and (self.folder / "config.json").exists()

    def saved_config(self) -> dict[str, Any]:
        """The content of config.json."""
        return self._read("config.json", experiment=str, recipe=dict, data=dict)

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

    def experiment(self, names: Any = NAMES) -> Experiment:
        """The run's experiment; no code from the folder is executed.

        Its paths can be used from any working directory: a relative one that names something else
        from here is replaced by what it named when the run began, if that exists.

        Raises:
          RunError: it needs a class that only its recipe file defines.
        """
        return run_paths.as_recorded(self.experiment_as_written(names), self.recorded_paths())

    def experiment_text(self) -> str:
        """The run's experiment as a constructor expression, without building it."""
        return self.saved_config()["experiment"]

    def experiment_as_written(self, names: Any) -> Experiment:
        """The run's experiment, with the paths as they were written."""
        saved = self.saved_config()
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

    def recorded_paths(self) -> dict[str, str]:
        """The absolute paths that config.json records, by field; empty for older runs."""
        paths = self.saved_config().get("paths", {})
        if not isinstance(paths, dict) or not all(isinstance(p, str) for p in paths.values()):
            raise RunError(f"{self.folder / 'config.json'} is damaged: its paths are no texts")
        return paths

    def with_recorded_paths(
        self, experiment: Experiment, recipe: config.Recipe | None
    ) -> Experiment:
        """The experiment, to resume this run from any working directory.

        A path that is spelled as in this run, and does not exist from here, is replaced by what it
        named when the run began. An experiment of another run is returned unchanged.
        """
        if not self.exists() or not self.recorded_paths():
            return experiment
        try:
            own = self.experiment_as_written({**names_of(recipe), **config.classes(experiment)})
        except RunError:  # it has custom classes that this experiment does not know
            return experiment
        return run_paths.completed(experiment, own, self.recorded_paths())

    def plan(
        self, recipe: config.Recipe | Experiment | None = None, *, as_written: bool = False
    ) -> Plan:
        """The run's plan, without its data; its paths are those of `experiment`, or as written."""
        names = names_of(recipe)
        experiment = self.experiment_as_written(names) if as_written else self.experiment(names)
        return Plan.of(experiment, self.data_facts())

    def data_facts(self) -> DataFacts:
        """The facts of the run's data."""
        saved = self.saved_config()["data"]
        saved = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
        try:
            facts = DataFacts(**saved)
            config.check(facts, "data")
        except (TypeError, config.ConfigError) as error:
            raise RunError(f"{self.folder / 'config.json'} is damaged: {error}") from error
        return facts

    def recipe_name(self) -> str:
        """The name of the run's recipe; "" without one."""
        return self.saved_config()["recipe"].get("name", "")

    def recipe_path(self) -> str:
        """The file of the run's recipe; "" without one."""
        return self.saved_config()["recipe"].get("path", "")

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

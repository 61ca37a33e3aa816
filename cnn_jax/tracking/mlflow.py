"""Tracks runs with MLflow."""

import contextlib
import dataclasses
import importlib.util
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError
from cnn_jax.storage.files import locked
from cnn_jax.tracking.writer import Ending, Row, TrackedRun, Writer, scalars

STORE = "sqlite:///mlflow.db"
# MLflow's own limits for one call, and for the text of a parameter.
PARAMS_AT_ONCE, METRICS_AT_ONCE, LONGEST = 100, 1000, 6000
_IDENTITY = "cnn_jax.run"
_STATUS: dict[Ending, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


@dataclasses.dataclass
class MLflow(Writer):
    """Sends a run's settings, metrics, figures and summary to MLflow.

    A resumed run goes on in the MLflow run that it began, which is found by a tag. What that has
    already is not sent again.

    Attributes:
      store: MLflow's tracking URI; None: `$MLFLOW_TRACKING_URI`, then mlflow.db, an SQLite file in
        the working folder.
      experiment: MLflow's name for a group of runs; None: the recipe's name.

    Raises:
      UserError: MLflow is not installed.
    """

    store: str | None = None
    experiment: str | None = None

    def __post_init__(self) -> None:
        if importlib.util.find_spec("mlflow") is None:
            raise UserError("MLflow is not installed: pip install -e '.[mlflow]'")
        # A server that does not answer must not hold up a training for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        self._client: Any = None
        self._id = ""  # of MLflow's run, while one is open
        self._sent: set[tuple[str, int]] = set()

    def begin(self, run: TrackedRun, rows: Sequence[Row]) -> None:
        """Finds or creates MLflow's run, and sends the rows that it lacks."""
        from mlflow import MlflowClient  # takes seconds to load

        store = self.store or os.environ.get("MLFLOW_TRACKING_URI") or STORE
        self._run = run
        with _alone(store):
            self._client = MlflowClient(store)
            self._id = self._found_or_created(run)
        kept = self._client.get_run(self._id).data
        self._sent = {
            (name, metric.step)
            for name in kept.metrics
            for metric in self._client.get_metric_history(self._id, name)
        }
        self._send_settings(kept.params)
        self._send_metrics(rows)

    def write(self, row: Row) -> None:
        """Sends the numbers of a row."""
        self._send_metrics([row])

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Sends the figures, config.json and summary.json as artifacts."""
        del summary  # its numbers are rows already
        for name in ("config.json", "summary.json"):
            self._client.log_artifact(self._id, str(self._run.folder / name))
        figures = self._run.folder / "figures"
        if figures.is_dir():
            self._client.log_artifacts(self._id, str(figures), "figures")

    def close(self, ending: Ending) -> None:
        """Sets the status of MLflow's run."""
        if self._id:
            self._client.set_terminated(self._id, _STATUS[ending])
        self._id = ""

    def _found_or_created(self, run: TrackedRun) -> str:
        group = self._experiment_id(self.experiment or run.recipe or "cnn_jax")
        found = self._client.search_runs([group], f"tags.`{_IDENTITY}` = '{run.identity}'")
        if found:
            self._client.update_run(found[0].info.run_id, status="RUNNING")
            return found[0].info.run_id
        name = f"{run.folder.absolute().parent.name}/{run.folder.name}"
        return self._client.create_run(
            group, run_name=name, tags={_IDENTITY: run.identity}
        ).info.run_id

    def _experiment_id(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        if known := self._client.get_experiment_by_name(name):
            return known.experiment_id
        try:
            return self._client.create_experiment(name)
        except MlflowException:  # another process has just created it
            if known := self._client.get_experiment_by_name(name):
                return known.experiment_id
            raise

    def _send_settings(self, sent: Mapping[str, str]) -> None:
        from mlflow.entities import Param, RunTag

        missing = [
            Param(name, value[:LONGEST])
            for name, value in self._run.settings.items()
            if name not in sent
        ]
        for start in range(0, len(missing), PARAMS_AT_ONCE):
            self._client.log_batch(self._id, params=missing[start : start + PARAMS_AT_ONCE])
        launch = self._run.launch
        facts = {
            "folder": str(self._run.folder.absolute()),
            "device": launch["device"],
            "mlflow.source.name": shlex.join(launch["command"]),
            "mlflow.source.git.commit": launch["git"]["commit"],
            **launch["software"],
        }
        tags = [RunTag(name, str(value)) for name, value in facts.items() if value is not None]
        self._client.log_batch(self._id, tags=tags)

    def _send_metrics(self, rows: Sequence[Row]) -> None:
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        measured = [
            Metric(name, value, now, int(row["step"]))
            for row in rows
            for name, value in scalars(row).items()
            if (name, int(row["step"])) not in self._sent
        ]
        for start in range(0, len(measured), METRICS_AT_ONCE):
            self._client.log_batch(self._id, metrics=measured[start : start + METRICS_AT_ONCE])
        self._sent.update((metric.key, metric.step) for metric in measured)


@contextlib.contextmanager
def _alone(store: str) -> Iterator[None]:
    """A block that one process at a time is in: two can't create tables in a file at once."""
    path = store.removeprefix("sqlite:///").partition("?")[0]
    with locked(Path(f"{path}.lock")) if path != store else contextlib.nullcontext():
        yield

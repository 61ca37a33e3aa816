"""What MLflow's own client reads back of runs that were tracked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from preempted import Preempted, PreemptedAt
from program import run_script
from small_run import EXPERIMENT, QUIET

from cnn_jax.tracking.mlflow import MLflow
from cnn_jax.train import train


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MLflow puts artifacts there
    return f"sqlite:///{tmp_path}/store.db"


def tracked(store, name="cnn_jax"):
    """All runs of an MLflow experiment."""
    client = MlflowClient(store)
    return client.search_runs([client.get_experiment_by_name(name).experiment_id])


def history(store, run):
    """All that MLflow has of a run's metrics: (key, step, value), also what is there twice."""
    client = MlflowClient(store)
    return sorted(
        (metric.key, metric.step, metric.value)
        for key in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, key)
    )


def recorded(folder):
    """The numbers of metrics.jsonl, as MLflow has them."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return sorted(
        (f"{row['split']}/{key}", row["step"], value)
        for row in rows
        for key, value in row.items()
        if key not in ("split", "step", "epoch") and value is not None
    )


def launch(folder, *writers, **options):
    return train(EXPERIMENT, folder, writers=writers, console=QUIET, **options)


def test_a_resumed_run_goes_on_in_its_tracked_run(store, tmp_path):
    folder = tmp_path / "run"
    for step, error, status in ((8, KeyboardInterrupt, "KILLED"), (12, Preempted, "FAILED")):
        with pytest.raises(error):
            launch(folder, MLflow(store), PreemptedAt(step, error))
        (one,) = tracked(store)
        assert one.info.status == status
    launch(folder, MLflow(store))
    (one,) = tracked(store)
    assert one.info.status == "FINISHED"
    seen = history(store, one)
    assert len({(key, step) for key, step, _ in seen}) == len(seen)
    timed = ("seconds", "images_per_second")  # of the first time that a step was taken
    untimed = [[r for r in rows if not r[0].endswith(timed)] for rows in (seen, recorded(folder))]
    assert untimed[0] == untimed[1]
    assert {(key, step) for key, step, _ in seen} == {(k, s) for k, s, _ in recorded(folder)}


def test_settings_facts_figures_and_summary(store, tmp_path):
    folder = tmp_path / "group" / "run"
    launch(folder, MLflow(store, experiment="mine"))
    (one,) = tracked(store, "mine")
    assert history(store, one) == recorded(folder)
    params = one.data.params
    assert params["model"] == "MLP" and params["model.hidden"] == "(4,)"
    assert params["seed"] == "0"  # at its default
    assert params["augment"] == "()"
    assert one.info.run_name == "group/run"
    commit = json.loads((folder / "manifest.json").read_text())["launches"][0]["git"]["commit"]
    assert one.data.tags["mlflow.source.git.commit"] == commit
    assert one.data.tags["folder"] == str(folder)
    client = MlflowClient(store)
    kept = Path(client.download_artifacts(one.info.run_id, "", str(tmp_path)))
    for name in ("summary.json", "config.json", "figures/confusion_matrix.png"):
        assert (kept / name).read_bytes() == (folder / name).read_bytes()


def test_a_finished_run_is_sent_as_a_whole_and_nothing_twice(store, tmp_path):
    launch(tmp_path / "run")
    same = MLflow(store)
    for _ in range(2):
        launch(tmp_path / "run", same)
        (one,) = tracked(store)
        assert history(store, one) == recorded(tmp_path / "run")
        assert one.info.status == "FINISHED"


def test_a_server_that_is_down_ends_nothing(tmp_path, capsys):
    result = train(EXPERIMENT, tmp_path / "run", writers=[MLflow("http://127.0.0.1:9")])
    assert result.summary["finished"]
    output = " ".join(capsys.readouterr().out.split())
    assert output.count("MLflow is left out from here on (MlflowException: ") == 1
    assert "the same command with its --workdir sends it what is missing" in output


def test_mlflow_is_told_to_tell_nobody():
    script = "from cnn_jax.tracking.mlflow import MLflow; MLflow(); import os; print(os.environ)"
    assert "'MLFLOW_DISABLE_TELEMETRY': 'true'" in run_script(script).stdout

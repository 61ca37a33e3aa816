"""--jobs: what each process gets, and what is said of those that fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from program import TINY, one_line, run

from cnn_jax.errors import UserError
from cnn_jax.sweeps import jobs


@pytest.fixture
def machine(monkeypatch):
    """A function that sets the cores and the GPUs of this machine."""

    def make(cores, gpus=0, **environ):
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(cores), raising=False)
        devices = [Path(f"/dev/nvidia{number}") for number in range(gpus)]
        found = [*devices, Path("/dev/nvidiactl")] if gpus else []
        monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(found))
        for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)

    return make


def test_cores_are_divided(machine):
    machine(cores=[2, 3, 5, 8, 9])
    assert jobs.shares(2) == [{2, 3}, {5, 8}]
    assert jobs.shares(5) == [{2}, {3}, {5}, {8}, {9}]
    with pytest.raises(UserError, match="--jobs=6: this process may use 5 cores"):
        jobs.shares(6)


def test_where_cores_can_not_be_divided_all_are_shared(machine, monkeypatch):
    machine(cores=[0, 1])
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert jobs.shares(2) == [{}, {}]
    with pytest.raises(UserError, match="may use 2 cores"):
        jobs.shares(3)


def test_each_process_gets_a_gpu(machine):
    machine(cores=[0, 1], gpus=12)
    assert jobs.shares(12)[10] == {"CUDA_VISIBLE_DEVICES": "10"}
    with pytest.raises(UserError, match="--jobs=13: this machine has 12 GPUs"):
        jobs.shares(13)
    machine(cores=[0, 1], gpus=4, CUDA_VISIBLE_DEVICES="3,1")
    assert jobs.shares(2) == [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    for environ in ({"JAX_PLATFORMS": "cpu"}, {"CUDA_VISIBLE_DEVICES": "-1"}):
        machine(cores=[0, 1], gpus=4, **environ)
        assert jobs.shares(2) == [{0}, {1}]
    machine(cores=[0, 1], JAX_PLATFORMS="", CUDA_VISIBLE_DEVICES="2, 0,-1,1")  # "": JAX chooses
    assert jobs.shares(2) == [{"CUDA_VISIBLE_DEVICES": "2"}, {"CUDA_VISIBLE_DEVICES": "0"}]
    with pytest.raises(UserError, match="this machine has 2 GPUs"):
        jobs.shares(3)


@pytest.mark.slow
def test_two_processes_train_a_sweep(tmp_path):
    small = (*TINY, "--config.model=MLP(hidden=(16,))", "--config.epochs=1")
    arguments = (*small, "--mode=sweep", "--jobs=2", f"--workdir={tmp_path}/s")
    grid = ("--sweep=optimizer.peak_lr=0.01,1e30", "--seeds=2")
    done = run(*arguments, *grid, "--track=mlflow", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert sum(line.startswith(("000  ", "001  ")) and "at epoch 1" in line for line in lines) == 2
    assert sum("diverged: " in line for line in lines) == 2
    assert "95 % interval of the mean" in done.stdout
    assert {log.name for log in (tmp_path / "s" / "jobs").iterdir()} == {"0.log", "1.log"}
    # Both processes began by creating MLflow's store.
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    tracked = client.search_runs([client.get_experiment_by_name("quickstart").experiment_id])
    assert sorted((run.info.run_name, run.info.status) for run in tracked) == [
        ("s/000", "FINISHED"),
        ("s/001", "FINISHED"),
        ("s/002", "FAILED"),
        ("s/003", "FAILED"),
    ]
    refused = run(*arguments, "--sweep=batch_size=512", code=1)
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("error: process 0 has failed: --sweep: batch_size=512: ")
    assert one_line(last)

"""Who may join a job, and who is told that it has not. Jobs that run: tests/faults/test_jobs.py."""

from __future__ import annotations

import pytest
from program import one_line

from cnn_jax import cli
from cnn_jax.errors import UserError
from cnn_jax.runtime import cluster
from cnn_jax.runtime.parallel import parallel

SRUN = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "3"}
MPIRUN = {"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "3"}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for _, *names in cluster.LAUNCHERS:
        for name in names:
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode=evaluate", "--distributed"], "--distributed is for --mode=train"),
        (["--mode=benchmark", "--distributed"], "--distributed is for --mode=train"),
        (["--mode=volumes", "--distributed"], "--distributed is for --mode=train"),
        (["--dry_run", "--distributed"], "--distributed is for training"),
        (["--list", "--distributed"], "--distributed is for training"),
        (["--coordinator=127.0.0.1:1"], "--coordinator needs --distributed"),
        (["--num_processes=0"], "--num_processes=0: must be at least 1"),
        (["--distributed"], "give --coordinator=HOST:PORT, --num_processes=N and --process_id=I"),
    ],
)
def test_a_job_that_cannot_be_joined_is_refused(arguments, message, capsys):
    assert cli.main(["run.py", *arguments]) == 2
    said = capsys.readouterr().err
    assert one_line(said)
    assert message in said


@pytest.mark.parametrize(
    ("environ", "launcher"), [(SRUN, "srun"), (MPIRUN, "mpirun")], ids=["srun", "mpirun"]
)
def test_row_30_one_of_many_that_do_not_know_of_each_other_is_warned(
    environ, launcher, monkeypatch
):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert cluster.unshared() == (
        f"warning: this is process 3 of 8 that {launcher} started, and each does all of the work: "
        "--distributed shares a training"
    )


@pytest.mark.parametrize("count", ["1", "", "many"])
def test_one_of_one_is_not_warned(count, monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", count)
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert not cluster.unshared()


def test_pmap_is_for_one_process(monkeypatch):
    monkeypatch.setattr(cluster, "number", lambda: 2)
    with pytest.raises(UserError, match="parallel must be 'jit' in a job of several processes"):
        parallel("pmap", 16)

"""--launch: what the scheduler gets, and a sweep whose jobs are preempted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import psutil
import pytest
from program import RUN, TINY, environment, run
from same_run import assert_same_run, wait_for_checkpoint

from cnn_jax import cli

# Stands in for Slurm: keeps the script, and answers as sbatch does.
SBATCH = """#!/bin/sh
if grep -q 'partition=closed' "$1"; then
    echo 'sbatch: error: invalid partition specified' >&2
    exit 1
fi
cp "$1" script.sh
echo 'Submitted batch job 77'
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder to submit from, on a machine with Slurm."""
    (tmp_path / "bin").mkdir()
    for name in ("sbatch", "srun"):
        (tmp_path / "bin" / name).write_text(SBATCH)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return tmp_path


def launch(folder, *flags, code=0):
    """Launches jobs and returns what is printed; background jobs keep their own output."""
    with open(folder / "printed", "w+") as printed:
        command = [sys.executable, str(RUN), *TINY, *flags]
        done = subprocess.run(
            command, cwd=folder, env=environment(), stdout=printed, stderr=printed
        )
        printed.seek(0)
        text = printed.read()
    assert done.returncode == code, text
    return text


def test_a_run_is_a_job(slurm):
    asked = "--slurm=partition=gpu,gpus=1,hours=8,qos=long"
    text = launch(slurm, "--launch=slurm", asked, "--workdir=mine")
    log = slurm / "mine" / "slurm" / "77_0_log.out"
    assert f"job 77 prints to {log}" in text
    assert "-> mine; the same command with its --workdir goes on" in text
    script = (slurm / "script.sh").read_text().splitlines()
    asked = {line.removeprefix("#SBATCH --") for line in script if line.startswith("#SBATCH")}
    assert asked >= {
        "job-name=cnn_jax-quickstart",
        "partition=gpu",
        "gpus-per-node=1",
        "time=480",
        "qos=long",
        "nodes=1",
        "open-mode=append",
        "signal=USR2@90",
    }
    assert not any("array" in line for line in asked)
    assert not (slurm / "mine" / "config.json").exists()  # nothing is trained here


def test_workers_are_an_array(slurm):
    sweep = ("--mode=sweep", "--seeds=4", "--jobs=3", "--launch=slurm", "--workdir=mine")
    text = launch(slurm, *sweep)
    assert [line.split()[1] for line in text.splitlines() if line.startswith("job ")] == [
        "77_0",
        "77_1",
        "77_2",
    ]
    assert "#SBATCH --array=0-2%3" in (slurm / "script.sh").read_text()


def test_processes_of_one_training(slurm):
    launch(slurm, "--launch=slurm", "--distributed", "--slurm=nodes=2,gpus=4", "--workdir=mine")
    script = (slurm / "script.sh").read_text()
    for line in ("nodes=2", "gpus-per-node=4", "ntasks-per-node=4"):
        assert f"#SBATCH --{line}\n" in script


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--slurm=nodes=2"], "several nodes train together only with --distributed"),
        (["--slurm=gpus=x"], "--slurm: gpus=x must be a positive number"),
        (["--mode=sweep", "--seeds=2", "--distributed"], "--distributed is for --mode=train"),
        (["--config.optimiser=SGD"], "Did you mean --config.optimizer?"),
        (["--track=mlfow"], "Did you mean mlflow?"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(flags, message, slurm, monkeypatch, capsys):
    monkeypatch.chdir(slurm)
    assert cli.main(["run.py", *TINY, "--launch=slurm", "--workdir=mine", *flags]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (slurm / "mine" / "config.json").exists()


def test_what_slurm_refuses_is_one_line(slurm):
    text = launch(slurm, "--launch=slurm", "--slurm=partition=closed", code=1)
    refusal = "error: --launch=slurm: sbatch: error: invalid partition specified"
    assert text.splitlines()[-1] == refusal


def test_jobs_that_nobody_launches(capsys):
    assert cli.main(["run.py", "--slurm=gpus=1"]) == 2
    assert capsys.readouterr().err == "error: --slurm needs --launch=slurm\n"


def test_without_slurm_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert cli.main(["run.py", "--launch=slurm"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "error: --launch=slurm: there is no Slurm here (no srun)"
    assert not (tmp_path / "runs").exists()


def is_running(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_row_37_a_preempted_job_of_a_sweep_resumes(tmp_path):
    """submitit's local executor queues a job again as Slurm does."""
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    sweep = ("--config.epochs=8", "--mode=sweep", "--seeds=2")
    run(*TINY, *sweep, f"--workdir={whole}")
    text = launch(tmp_path, *sweep, "--jobs=2", "--launch=local", f"--workdir={shared}")
    jobs = [int(line.split()[1]) for line in text.splitlines() if line.startswith("job ")]
    assert len(jobs) == 2
    wait_for_checkpoint(shared / "000", 8)
    trainer = psutil.Process(int((shared / "000" / ".lock").read_text().split()[0]))
    # Slurm signals all processes of a job: the training itself must not heed this one.
    trainer.send_signal(signal.SIGUSR2)
    warned = trainer.parent()
    assert "submitit.core._submit" in warned.cmdline()
    log = shared / "local" / f"{warned.ppid()}_0_log.out"
    warned.send_signal(signal.SIGUSR2)
    deadline = time.monotonic() + 300
    while any(map(is_running, jobs)):
        assert time.monotonic() < deadline, "the jobs go on"
        time.sleep(0.2)
    for name in ("000", "001"):
        assert_same_run(whole / name, shared / name)
    launches = json.loads((shared / "000" / "manifest.json").read_text())["launches"]
    assert len(launches) == 2
    assert len(json.loads((shared / "sweep.json").read_text())["runs"]) == 2
    output = log.read_text()
    assert "interrupted: step" in output and "Requeued job" in output
    assert output.count("Job completed successfully") == 1

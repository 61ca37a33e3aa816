"""Rows 30 to 32 of docs/reliability.md: jobs of several processes, whole, stopped, and broken."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import jax
import pytest
from job import one_process, run_job, start_job
from program import run, start
from same_run import assert_same_run, untimed, wait_for_checkpoint

from cnn_jax import cli
from cnn_jax.runtime.cluster_watch import LOST_SECONDS

pytestmark = pytest.mark.slow
# As in this process: most of the time would be LLVM's.
QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
# As in this process: the number of threads affects the last digits on a CPU.
THREADS = {"PJRT_NPROC": "16", **QUICK}
TRAINING = (
    "--config.data=Shapes(train=256, validation=64, test=75)",
    "--config.model=ConvNet(widths=(4, 8), hidden=16)",
    "--config.optimizer=SGD(peak_lr=0.05)",
    "--config.batch_size=32",
)
# Long enough to be stopped in the middle.
LONG = (*TRAINING, "--config.epochs=12")
# With sums between the devices for each BatchNorm, too.
NORMED = (
    *TRAINING,
    "--config.model=QuickNet(filters=12, widths=(8,))",
    "--config.augment=(Flip(), RandomCrop(2))",
    "--config.epochs=1",
    "--log_every_steps=1",
)
RESUMES = "the same command on all processes resumes from the last checkpoint"


def train_here(devices: int, *arguments: str) -> None:
    """Trains in this process, on some of its simulated devices."""
    with pytest.MonkeyPatch.context() as patch:
        found = jax.devices()[:devices]
        patch.setattr(jax, "devices", lambda: found)
        patch.setattr(jax, "local_devices", lambda *_, **__: found)
        patch.setattr("cnn_jax.runs.recorder.draw_figures", lambda *_: None)
        assert cli.main(["run.py", *arguments]) == 0


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in untimed(folder) if row["split"] == "train"]


def test_row_30_two_processes_come_to_the_bits_of_one_with_two_devices(tmp_path):
    """And to the losses of one device, to 1e-4, in the first eight steps."""
    said = run_job(2, *NORMED, f"--workdir={tmp_path / 'job'}", **THREADS)
    train_here(2, *NORMED, f"--workdir={tmp_path / 'one'}")
    assert_same_run(tmp_path / "job", tmp_path / "one")
    assert "test accuracy" in said[0]
    assert "accuracy" not in said[1], "process 0 alone prints"
    launch = json.loads((tmp_path / "job" / "manifest.json").read_text())["launches"][0]
    assert len(launch["devices"]) == 2

    train_here(1, *NORMED, f"--workdir={tmp_path / 'single'}")
    of_job, of_one = losses(tmp_path / "job")[:8], losses(tmp_path / "single")[:8]
    assert len(of_one) == 8
    assert of_job == pytest.approx(of_one, rel=1e-4)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    train_here(2, *LONG, f"--workdir={folder}")
    return folder


def wait_until_saving(folder: Path, after: int) -> None:
    """Returns in the middle of a save of a step beyond one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for place in folder.glob("checkpoints/*.saving"):
            if int(place.stem) > after:
                return
        time.sleep(0.001)
    raise AssertionError("no save")


LOST_0 = rf"process 0, the coordinator, (is lost|no longer answers).*: {RESUMES}$"
LOST_1 = rf"process 1 is lost .*: {RESUMES}$"
SAVED = r"interrupted: step \d+ is saved; the same command with its --workdir resumes$"
# The signal, the process that gets it, the exit code and the last line of the other, and the
# moments that are always tested. Each takes up to a minute; CNN_JAX_ALL_JOB_FAULTS=1 tests all.
FAULTS = [
    (signal.SIGKILL, 0, {1, 134}, LOST_0, {"save"}),
    (signal.SIGKILL, 1, {1}, LOST_1, set()),
    (signal.SIGSTOP, 0, {1, 134}, LOST_0, set()),
    (signal.SIGSTOP, 1, {1}, LOST_1, {"training"}),
    (signal.SIGTERM, 0, {143}, "", set()),
    (signal.SIGTERM, 1, {143}, SAVED, set()),
    (signal.SIGINT, 1, {143}, SAVED, set()),
]


@pytest.mark.parametrize("moment", ["training", "save"])
@pytest.mark.parametrize(
    ("sent", "victim", "codes", "last_line", "usual"),
    FAULTS,
    ids=[f"{fault[0].name}-{fault[1]}" for fault in FAULTS],
)
def test_row_31_a_job_whose_process_is_lost_or_stopped_ends_and_resumes(
    sent, victim, codes, last_line, usual, moment, uninterrupted, tmp_path
):
    if moment not in usual and "CNN_JAX_ALL_JOB_FAULTS" not in os.environ:
        pytest.skip("takes a minute: CNN_JAX_ALL_JOB_FAULTS=1 runs all of them")
    folder = tmp_path / "run"
    command = (*LONG, f"--workdir={folder}")
    often = ("--save_every_steps=1",) if moment == "save" else ()
    job = start_job(2, *command, *often, **THREADS)
    if moment == "save":
        wait_until_saving(folder, after=8)
    else:
        wait_for_checkpoint(folder, 16)
    pid = job[victim].trainer
    os.kill(pid, sent)
    code, said = job[1 - victim].end(LOST_SECONDS)
    if sent == signal.SIGSTOP:
        os.kill(pid, signal.SIGKILL)
    own_code, own_said = job[victim].end()
    assert code in codes, said
    if last_line:
        assert re.search(last_line, said.strip().splitlines()[-1]), said
    if sent in (signal.SIGTERM, signal.SIGINT):
        assert own_code == 128 + sent, own_said
        steps = [int(place.name) for place in (folder / "checkpoints").iterdir()]
        assert f"step {max(steps)} is saved" in said + own_said
    else:
        assert own_code == 128 + signal.SIGKILL
    (resumed, _) = run_job(2, *command, **THREADS)
    assert re.search(r"resumed at step \d+ of 96", resumed)
    assert_same_run(folder, uninterrupted)


def stop_after(step: int, folder: Path, processes: list[subprocess.Popen[str]]) -> None:
    """Ends a job by SIGTERM to its last process, once a step is saved."""
    wait_for_checkpoint(folder, step)
    processes[-1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [143] * len(processes), said
    assert "interrupted: step " in said[0]


def assert_like(folder: Path, uninterrupted: Path) -> None:
    """Every epoch is there once; sums that are split otherwise change the last digits only."""
    of_epochs = [row["step"] for row in untimed(folder) if row["step"] % 8 == 0]
    assert of_epochs == [row["step"] for row in untimed(uninterrupted)]
    assert losses(folder)[-1] == pytest.approx(losses(uninterrupted)[-1], rel=1e-2)


def test_row_32_a_run_goes_on_in_other_numbers_of_processes(uninterrupted, tmp_path):
    """In 2, in 1, and in 4, which come to the bits of one process with four devices.

    That one is a job too: gloo adds the parts of four devices in another order than XLA does within
    a process. The run tests the best weights, which process 0 restores and shares.
    """
    folder, copy = tmp_path / "run", tmp_path / "copy"
    command = (*LONG, "--config.keep_best=True", "--config.patience=12")
    job = start_job(2, *command, f"--workdir={folder}", **THREADS)
    stop_after(16, folder, [process.parent for process in job])
    stop_after(48, folder, [start(*command, f"--workdir={folder}", **THREADS)])
    shutil.copytree(folder, copy)
    (said, *_) = run_job(4, *command, f"--workdir={folder}", **THREADS)
    assert "resumed at step" in said
    run_job(1, *command, f"--workdir={copy}", **one_process(4), **QUICK)
    assert_same_run(folder, copy)
    assert_like(folder, uninterrupted)


def test_row_32_a_run_goes_on_on_other_numbers_of_devices(uninterrupted, tmp_path):
    """On 8, on 1 and on 4."""
    folder = tmp_path / "run"
    command = (*LONG, f"--workdir={folder}")
    for devices, step in ((8, 16), (1, 48)):
        stop_after(step, folder, [start(*command, **one_process(devices), **QUICK)])
    assert "resumed at step" in run(*command, **one_process(4), **QUICK).stdout
    assert_like(folder, uninterrupted)


def test_row_31_processes_that_differ_are_refused(tmp_path):
    """Before the first step, with the difference in one line, and a folder left as it was."""
    job = start_job(
        2, *TRAINING, f"--workdir={tmp_path / 'run'}", own=("", "--config.seed=1"), **QUICK
    )
    (code, said), (other_code, other_said) = (process.end() for process in job)
    differs = "process 1 differs from process 0: seed: 0 -> 1"
    assert (code, other_code) == (1, 2)
    assert said.strip().splitlines()[-1] == f"error: process 1 has failed: {differs}"
    assert other_said.strip().splitlines()[-1] == f"error: {differs}"
    assert not (tmp_path / "run").exists()

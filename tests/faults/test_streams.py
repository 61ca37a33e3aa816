"""Rows 33 and 34 of docs/reliability.md: runs that decode their pictures while they train."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys

import jax
import psutil
import pytest
from job import run_job, start_job
from photo_folders import fill
from program import environment, start
from same_run import assert_same_run, wait_for_checkpoint
from small_run import QUIET

from cnn_jax import cli
from cnn_jax.data import DataInvalid, Folder
from cnn_jax.errors import RunFailed
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP
from cnn_jax.tracking.writer import Writer
from cnn_jax.train import train
from cnn_jax.training import stream

# As in this process: most of the time would be LLVM's, and the threads affect the last digits.
THREADS = {"PJRT_NPROC": "16", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """64 training, 8 validation and 8 test pictures."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("cnn_jax.runs.recorder.draw_figures", lambda *_: None)
    root = tmp_path / "pictures"
    for part, number in (("train", 32), ("val", 4), ("test", 4)):
        fill(root / part, number=number)
    return root


def experiment(folder, **fields):
    data = Folder(str(folder), size=8, stream=True)
    return Experiment(data=data, model=MLP(hidden=(4,)), batch_size=8, **fields)


@pytest.mark.slow
def test_row_33_a_worker_that_is_killed_ends_the_run_in_one_line(folder, tmp_path):
    """As Linux does when memory runs out. The run resumes."""

    class Kills(Writer):
        def write(self, row):
            for child in multiprocessing.active_children():
                child.kill()

    one = experiment(folder, epochs=9)
    message = r"decodes images ended.*--workers.*resumes"
    with stream.workers(1), pytest.raises(RunFailed, match=message) as caught:
        train(one, tmp_path / "run", writers=[Kills()], save_every_steps=1, console=QUIET)
    assert "\n" not in str(caught.value)
    with stream.workers(0):
        assert int(train(one, tmp_path / "run", console=QUIET).state.step) == 72


@pytest.mark.slow
def test_row_33_a_script_without_a_main_guard_is_told_in_one_line(folder, tmp_path):
    script = f"""
from cnn_jax.data import Folder
from cnn_jax.experiment import Experiment
from cnn_jax.models import MLP
from cnn_jax.train import train
from cnn_jax.training import stream

one = Experiment(data=Folder({str(folder)!r}, size=8, stream=True), model=MLP(), batch_size=8)
with stream.workers(1):
    train(one, {str(tmp_path / "run")!r})
"""
    path = tmp_path / "mine.py"
    path.write_text(script)
    done = subprocess.run(
        [sys.executable, str(path)], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    message, others = done.stderr.splitlines()[-1], done.stderr.count("__main__")
    assert re.match(r'cnn_jax\.errors\.UserError: .*if __name__ == "__main__"', message)
    assert others == 1  # the workers say nothing


def command(folder, *, epochs, streamed=True):
    return (
        f"--config.data=Folder({str(folder)!r}, size=8, stream={streamed})",
        "--config.model=MLP(hidden=(4,))",
        "--config.augment=(Flip(),)",
        "--config.optimizer=SGD(peak_lr=0.05)",
        "--config.batch_size=16",
        f"--config.epochs={epochs}",
        "--log_every_steps=1",
    )


@pytest.mark.slow
def test_row_33_a_job_that_streams_is_stopped_in_mid_epoch_and_resumes(folder, tmp_path):
    """With the bits of one process that keeps the pictures in memory and is never interrupted."""
    place = f"--workdir={tmp_path / 'job'}"
    streams = (*command(folder, epochs=24), "--workers=1", place)
    job = start_job(2, *streams, "--save_every_steps=1", **THREADS)
    wait_for_checkpoint(tmp_path / "job", 10)  # of 96, four an epoch
    # A scheduler signals all processes: those that decode images, too.
    for process in job:
        for child in psutil.Process(process.trainer).children(recursive=True):
            child.send_signal(signal.SIGTERM)
        os.kill(process.trainer, signal.SIGTERM)
    ends = [process.end() for process in job]
    assert [code for code, _ in ends] == [143, 143], ends
    (said, _) = run_job(2, *streams, **THREADS)
    assert re.search(r"resumed at step \d+ of 96", said)
    with pytest.MonkeyPatch.context() as patch:
        found = jax.devices()[:2]
        for name in ("devices", "local_devices"):
            patch.setattr(jax, name, lambda *_, **__: found)
        still = (*command(folder, epochs=24, streamed=False), f"--workdir={tmp_path / 'one'}")
        assert cli.main(["run.py", *still]) == 0
    assert_same_run(tmp_path / "job", tmp_path / "one")


@pytest.mark.slow
def test_row_33_workers_end_with_a_training_that_is_killed(folder, tmp_path):
    run = start(
        *command(folder, epochs=500), "--workers=2", f"--workdir={tmp_path / 'run'}", **THREADS
    )
    wait_for_checkpoint(tmp_path / "run", 8)
    children = psutil.Process(run.pid).children(recursive=True)
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert not psutil.wait_procs(workers, timeout=30)[1]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_row_34_a_picture_that_is_damaged_during_a_run_is_named(workers, folder, tmp_path):
    one = experiment(folder, epochs=1)
    one.data.load()
    path = folder / "train" / "cat" / "cat7.png"
    kept, content = path.stat(), path.read_bytes()
    path.write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    with stream.workers(workers):
        with pytest.raises(DataInvalid, match=r"cat7\.png.*has changed since") as caught:
            train(one, tmp_path / "run", console=QUIET)
        assert "\n" not in str(caught.value)
        path.write_bytes(content)
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        assert int(train(one, tmp_path / "run", console=QUIET).state.step) == 8

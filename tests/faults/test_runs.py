"""Rows 1, 2, 4, 5, 7, 8, 10 to 13, 21, 23 and 24 of docs/reliability.md: what can happen to a run.

Where a process must die, a real one does.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from preempted import Preempted, PreemptedAt
from program import RUN, TINY, run, run_script, start
from rich.console import Console
from same_run import assert_same_run, bits, untimed, wait_for_checkpoint

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.cli import main
from cnn_jax.data import Shapes
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Loss
from cnn_jax.models import ResNet
from cnn_jax.optim import SGD, Linear
from cnn_jax.runs import restore
from cnn_jax.runs.run_records import RunError
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import compile_cache, hardware
from cnn_jax.train import Diverged, train

QUIET = Console(quiet=True)
# 24 steps with BatchNorm, momentum, averages and augmentation; a row every 3 steps.
RECIPE = (
    *TINY,
    "--config.model=ResNet(depth=8, width=4)",
    "--config.augment=(RandomCrop(2), Flip())",
    "--config.ema=0.9",
    "--log_every_steps=3",
)


def experiment(**fields) -> Experiment:
    defaults = {
        "data": Shapes(train=96, validation=32, test=32),
        "model": ResNet(depth=8, width=2),
        "augment": (RandomCrop(2), Flip()),
        "optimizer": SGD(peak_lr=0.02),
        "batch_size": 16,
        "epochs": 3,
    }
    return Experiment(**(defaults | fields))


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """What trains in this process takes the programs of the test before: the bits are the same."""
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_enable_compilation_cache
    assert not compile_cache.use(str(tmp_path_factory.mktemp("compiled")))
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", before[0])
    jax.config.update("jax_enable_compilation_cache", before[1])
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An uninterrupted run of the command line."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(*RECIPE, f"--workdir={folder}")
    return folder


@pytest.mark.slow
def test_row_1_killed_at_20_random_moments_and_resumed_is_bit_identical(tmp_path):
    """A kill comes once a new checkpoint is there, after up to what a few steps and saves take."""
    recipe = (*RECIPE, "--config.epochs=60", "--save_every_steps=2")  # 480 steps
    run(*recipe, f"--workdir={tmp_path}/whole")
    folder, rng = tmp_path / "killed", random.Random(0)
    steps: list[int] = []
    for _ in range(20):
        process = start(*recipe, f"--workdir={folder}")
        newest = max(steps, default=0)
        wait_for_checkpoint(folder, newest + 2)
        time.sleep(rng.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        said, _ = process.communicate()
        assert not (folder / "summary.json").exists(), "the run is too short for 20 kills"
        if steps:
            assert f"resumed at step {steps[-1]} of 480" in said
        found = [int(p.name) for p in (folder / "checkpoints").iterdir() if p.name.isdecimal()]
        steps.append(max(found))
        assert steps[-1] > newest
    resumed = run(*recipe, f"--workdir={folder}")
    assert f"resumed at step {steps[-1]} of 480" in resumed.stdout
    assert_same_run(tmp_path / "whole", folder)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_row_2_asked_to_stop_a_run_saves_its_step_and_resumes(number, code, whole, tmp_path):
    folder = tmp_path / "run"
    process = start(*RECIPE, f"--workdir={folder}")
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for _ in range(20):  # schedulers and shells signal whole groups, whose members pass it on
        process.send_signal(number)
        time.sleep(0.002)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "Traceback" not in said and "Error" not in said
    step = int(said.split("interrupted: step ")[1].split()[0])
    assert Run(folder).checkpoints().latest() == step
    assert not (folder / "summary.json").exists()
    resumed = run(*RECIPE, f"--workdir={folder}")
    assert f"resumed at step {step} of 24" in resumed.stdout
    assert_same_run(whole, folder)


def stopped(folder: Path, at: int, **fields) -> None:
    """Begins a run, or goes on with it, until it logs a step."""
    with pytest.raises(Preempted):
        train(
            experiment(**fields),
            folder,
            writers=[PreemptedAt(at)],
            log_every_steps=2,
            save_every_steps=3,
            console=QUIET,
        )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """A run of 18 steps, as `stopped` begins it."""
    folder = tmp_path_factory.mktemp("runs") / "uninterrupted"
    train(experiment(), folder, log_every_steps=2, console=QUIET)
    return folder


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def test_row_4_a_run_that_fell_back_ends_equal(uninterrupted, tmp_path, capsys):
    folder = tmp_path / "run"
    stopped(folder, 14)
    checkpoints = folder / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["12", "9"]
    damaged = max((checkpoints / "12" / "state").rglob("*"), key=lambda p: p.stat().st_size)
    flip_a_bit(damaged)
    train(experiment(), folder, log_every_steps=2, save_every_steps=3)
    said = " ".join(capsys.readouterr().out.split())
    assert damaged.name in said.replace(" ", "") and "going back to step 9" in said
    assert "resumed at step 9 of 18" in said
    assert_same_run(uninterrupted, folder)
    assert (checkpoints / "12.damaged").is_dir()


def test_row_5_with_no_good_checkpoint_a_run_does_not_start_again(tmp_path, capsys):
    command = ["run.py", *TINY, "--config.epochs=1", f"--workdir={tmp_path}/run"]
    assert main(command) == 0
    (tmp_path / "run" / "summary.json").unlink()
    for path in (tmp_path / "run" / "checkpoints").glob("*/progress.json"):
        path.write_text("{}")
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    capsys.readouterr()
    assert main(command) == 1
    said = capsys.readouterr().err
    (error,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "progress.json has changed" in error and "Traceback" not in said
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


@pytest.mark.slow
def test_row_7_a_full_disk_is_one_line_and_costs_no_checkpoint(tmp_path):
    """The limit on a file's size lies above what logs take, and below what the state takes."""
    recipe = (*TINY, f"--workdir={tmp_path}/run", "--compile_cache=off")
    script = f"""
import resource, sys
from cnn_jax.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
sys.exit(main([{str(RUN)!r}, *{list(recipe)!r}]))
"""
    done = run_script(script)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "run" / "summary.json").exists()


def test_row_8_an_impossible_workdir_fails_before_anything_is_compiled(tmp_path, monkeypatch):
    monkeypatch.setattr("cnn_jax.setup.first_state", None)  # not to be reached
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Not a directory"):
        train(experiment(), tmp_path / "file" / "run", console=QUIET)


def test_row_10_another_experiment_in_the_workdir_is_refused_with_a_diff(uninterrupted):
    before = (uninterrupted / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError, match=r"another experiment \(seed: 0 -> 1\)"):
        train(experiment(seed=1), uninterrupted, console=QUIET)
    assert (uninterrupted / "metrics.jsonl").read_bytes() == before


def test_a_number_written_otherwise_is_the_same_experiment(tmp_path):
    """--config.epochs=2 gives 2.0, a recipe may have 2."""
    train(experiment(epochs=2), tmp_path, console=QUIET)
    assert train(experiment(epochs=2.0), tmp_path, console=QUIET).summary["epochs"] == 2


def test_row_11_a_finished_run_is_returned_as_it_is(uninterrupted):
    before = {p: p.stat().st_mtime_ns for p in uninterrupted.rglob("*") if p.is_file()}
    result = train(experiment(), uninterrupted, log_every_steps=2, console=QUIET)
    assert bits(result.state) == bits(restore(uninterrupted)[1])
    assert {p: p.stat().st_mtime_ns for p in uninterrupted.rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_row_12_a_second_process_in_the_workdir_is_refused(tmp_path):
    recipe = (*RECIPE, "--config.epochs=400", f"--workdir={tmp_path}/run")
    first = start(*recipe)
    try:
        wait_for_checkpoint(tmp_path / "run", 8)
        second = run(*recipe, code=2)
        errors = [line for line in second.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and f"process {first.pid} is training here" in errors[0]
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()


class BadGradient(Loss):
    """A loss that is always finite, and whose gradient never is."""

    takes_mixed_labels = False

    def __call__(self, logits, label):
        return (logits + jnp.sqrt(0 * logits)).sum(-1)


@pytest.mark.parametrize("rate", [1e20, 1e30])
def test_row_13_a_loss_that_is_not_finite_names_its_step_and_is_not_saved(rate, tmp_path):
    """The rate rises from about 0: the first steps are good, and the last good checkpoint stays."""
    rise = Linear(warmup=2, warmup_start=1e-35)
    wanted = experiment(optimizer=SGD(peak_lr=rate, momentum=0), schedule=rise)
    with pytest.raises(Diverged, match=r"at step [1-9]\d*, learning rate .*peak_lr") as caught:
        train(wanted, tmp_path / "run", log_every_steps=1, save_every_steps=1, console=QUIET)
    named = int(str(caught.value).split("step ")[1].split(",")[0])
    rows = Run(tmp_path / "run").metrics.rows()
    assert [row["step"] for row in rows if row["split"] == "train"] == list(range(1, named))
    assert all(np.isfinite(row["loss"]) for row in rows)
    newest = Run(tmp_path / "run").checkpoints().latest()
    assert newest in (None, named - 1)


def test_row_13_a_gradient_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(Diverged, match="step 1"):
        train(
            experiment(loss=BadGradient()),
            tmp_path / "run",
            save_every_steps=1,
            console=QUIET,
        )
    assert Run(tmp_path / "run").checkpoints().latest() is None


@pytest.mark.parametrize("way", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_row_21_saved_on_several_devices_restored_on_one_and_back(way, devices, tmp_path):
    """Bits may differ where sums are split otherwise; the state that is handed over may not."""
    handed = []
    for at, count in ((4, 4), (8, 1), (14, 4)):
        devices(count)
        stopped(tmp_path / "run", at, parallel=way)
        handed.append(Run(tmp_path / "run").checkpoints().latest())
    assert handed == [3, 6, 12]
    devices(1)
    one = bits(restore(tmp_path / "run")[1])
    devices(4)
    assert bits(restore(tmp_path / "run")[1]) == one
    wanted = experiment(parallel=way)
    result = train(wanted, tmp_path / "run", log_every_steps=2, console=QUIET)
    alone = train(wanted, tmp_path / "alone", log_every_steps=2, console=QUIET)
    for a, b in zip(
        jax.tree.leaves(result.state.params), jax.tree.leaves(alone.state.params), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "torn", [b'{"step": 12, "spl', b"\x00\x00\x00", b'{"step": 99, "split": "train"}\n{"']
)
def test_row_23_torn_and_late_rows_of_metrics_are_repaired(torn, uninterrupted, tmp_path):
    folder = tmp_path / "run"
    stopped(folder, 14)
    assert Run(folder).metrics.rows()[-1]["step"] > Run(folder).checkpoints().latest()
    with open(folder / "metrics.jsonl", "ab") as file:
        file.write(torn)
    train(experiment(), folder, log_every_steps=2, save_every_steps=3, console=QUIET)
    assert_same_run(uninterrupted, folder)


def test_a_run_outlives_whoever_reads_what_it_prints(tmp_path):
    process = start(*TINY, f"--workdir={tmp_path}/run", "--log_every_steps=1")
    assert process.stdout is not None
    assert any(" -> " in line for line in process.stdout)  # up to the first line of the training
    process.stdout.close()
    assert process.wait(timeout=300) == 0
    assert Run(tmp_path / "run").summary()


def test_row_24_the_same_seed_gives_the_same_bits_and_another_others(uninterrupted, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        train(experiment(seed=seed), tmp_path / name, log_every_steps=2, console=QUIET)
    assert_same_run(uninterrupted, tmp_path / "same")
    assert bits(restore(uninterrupted)[1]) != bits(restore(tmp_path / "other")[1])
    assert untimed(uninterrupted) != untimed(tmp_path / "other")


def test_row_24_deterministic_asks_xla_for_it(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    hardware.be_deterministic()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=x --xla_gpu_deterministic_ops=true"


def test_row_25_an_accelerator_that_is_absent_is_no_cpu(tmp_path):
    done = run(*TINY, f"--workdir={tmp_path}/run", code=2, JAX_PLATFORMS="cuda")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "cuda" in errors[0] and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_summary_is_what_says_that_a_run_is_finished(uninterrupted):
    assert json.loads((uninterrupted / "summary.json").read_text())["finished"]

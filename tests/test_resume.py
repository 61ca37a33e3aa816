"""A run that was killed ends like one that never was: bit for bit."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from program import TINY, run, start

from cnn_jax.runs import restore

TIMES = {"seconds", "images_per_second"}


def rows(folder: Path) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    states = restore(one)[1], restore(other)[1]
    leaves = [jax.tree.leaves(jax.device_get(state)) for state in states]
    assert len(leaves[0]) > 8
    for a, b in zip(*leaves, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert rows(one) == rows(other)


def wait_for_checkpoint(folder: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while not (folder / "checkpoints" / str(step) / "_CHECKPOINT_METADATA").exists():
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.01)


RECIPE = (
    *TINY,
    "--config.model=ResNet(depth=8, width=4)",
    "--config.augment=(RandomCrop(2), Flip())",
    "--log_every_steps=3",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An uninterrupted run of 24 steps, with BatchNorm, momentum and augmentation."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(*RECIPE, f"--workdir={folder}")
    return folder


@pytest.mark.slow
def test_killed_in_mid_epoch_and_resumed_is_bit_identical(whole, tmp_path):
    folder = tmp_path / "killed"
    arguments = (*RECIPE, "--save_every_steps=3", f"--workdir={folder}")
    process = start(*arguments)
    wait_for_checkpoint(folder, 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "summary.json").exists()
    resumed = run(*arguments, "--compile_cache=off")  # the killed one had its programs from there
    assert "resumed at step" in resumed.stdout
    step = int(resumed.stdout.split("resumed at step ")[1].split()[0])
    assert step > 0
    assert_same_run(whole, folder)


def test_finished_run_is_not_repeated(whole):
    before = (whole / "metrics.jsonl").read_bytes()
    again = run(*RECIPE, f"--workdir={whole}")
    assert "finished already" in again.stdout
    assert (whole / "metrics.jsonl").read_bytes() == before


def test_another_experiment_in_the_same_folder_is_refused_with_the_difference(whole):
    refused = run(*RECIPE, "--config.seed=1", f"--workdir={whole}", code=2)
    assert "seed: 0 -> 1" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_another_seed_is_another_run(whole, tmp_path):
    run(*RECIPE, "--config.seed=1", f"--workdir={tmp_path}/other")
    assert rows(whole) != rows(tmp_path / "other")

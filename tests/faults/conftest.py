"""The small run in two states, for tests that damage its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_run import EXPERIMENT, QUIET

from cnn_jax.train import train


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The run, finished; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(EXPERIMENT, folder, console=QUIET)
    return folder


@pytest.fixture
def unfinished(finished, tmp_path) -> Path:
    """A copy that has step 8 to go on from; its log goes on to the test."""
    folder = tmp_path / "unfinished"
    shutil.copytree(finished, folder)
    (folder / "summary.json").unlink()
    shutil.rmtree(folder / "checkpoints" / "12")
    return folder

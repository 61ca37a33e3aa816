"""A small finished run that the tests of the page share."""

from __future__ import annotations

import pytest
from program import TINY

from cnn_jax import cli


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The folder of a run of three epochs on Shapes, with validation images."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    assert cli.main(["run.py", *TINY, f"--workdir={folder}"]) == 0
    return folder

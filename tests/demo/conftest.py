"""A small finished run that the tests of the page share, its page, and a browser."""

from __future__ import annotations

import signal

import pytest
from demo_browser import start_browser, until
from program import TINY, start

from cnn_jax import cli
from cnn_jax.demo.shown import Shown
from cnn_jax.runs.run_scorer import RunScorer
from cnn_jax.runs.workdir import Run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The folder of a run of three epochs on Shapes, with validation images."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    assert cli.main(["run.py", *TINY, f"--workdir={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def shown(small_run):
    """The run as the page shows it, in this process."""
    return Shown(Run(small_run), RunScorer(small_run))


@pytest.fixture(scope="session")
def page(small_run):
    """The address of the run's page, served by a process of its own."""
    pytest.importorskip("gradio")
    process = start("--mode=demo", f"--workdir={small_run}")
    line = process.stdout.readline()
    try:
        assert line.startswith("http://127.0.0.1:"), line + process.stdout.read()
        yield line.split()[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def browser(page):
    """A browser on the page; what it asks for and what it prints is kept in its logs."""
    driver = start_browser()
    try:
        driver.get(page)
        until(lambda: driver.find_elements("css selector", "button[role=tab]"), "page")
        yield driver
    finally:
        driver.quit()

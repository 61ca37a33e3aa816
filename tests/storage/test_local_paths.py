"""URLs in place of local paths are refused wherever a path is given, and nothing is created."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import TINY, one_line
from small_run import EXPERIMENT, QUIET

from cnn_jax import cli, config
from cnn_jax.data import Cifar10
from cnn_jax.errors import UserError
from cnn_jax.export import load
from cnn_jax.modes.predict import find
from cnn_jax.modes.report import report
from cnn_jax.modes.volumes import show
from cnn_jax.runs.workdir import Run
from cnn_jax.runtime import compile_cache
from cnn_jax.storage.local_paths import local_path
from cnn_jax.train import train

BUCKET = "gs://bucket/run"


@pytest.fixture(autouse=True)
def nothing_is_created(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "arguments",
    [
        (f"--workdir={BUCKET}",),
        (f"--workdir={BUCKET}", "--mode=sweep", "--sweep=seed=0,1"),
        (f"--workdir={BUCKET}", "--mode=benchmark"),
        (f"--workdir={BUCKET}", "--mode=volumes"),
        (f"--workdir={BUCKET}", "--mode=evaluate"),
        (f"--data_dir={BUCKET}",),
        (f"--compile_cache={BUCKET}",),
        ("--mode=export", "--workdir=run", f"--output={BUCKET}"),
        ("--mode=predict", f"--model={BUCKET}", "x.png"),
        ("--mode=predict", "--model=net", BUCKET),
        ("--mode=predict", "--model=net", "x.png", f"--contact_sheet={BUCKET}/sheet.png"),
        ("--mode=predict", "--model=net", "x.png", f"--output={BUCKET}/out.csv"),
        ("--mode=report", BUCKET),
        (f"--config={BUCKET}.py",),
        (f"--config.init_from={BUCKET}",),
        (f'--config.data=Folder("{BUCKET}")',),
    ],
)
def test_row_8_urls_in_flags_and_arguments(arguments, capsys):
    assert cli.main(["run.py", *TINY[1:], *arguments]) == 2
    error = capsys.readouterr().err
    assert one_line(error[error.index("error: ") :])
    assert "must be a local path, got" in error and "mount the bucket as a folder" in error


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda url: Run(url), "workdir"),
        (lambda url: Run(Path(url)), "workdir"),
        (lambda url: train(EXPERIMENT, url, console=QUIET), "workdir"),
        (lambda url: train(EXPERIMENT, Path(url) / "run", console=QUIET), "workdir"),
        (lambda url: show(EXPERIMENT, folder=url), "workdir"),
        (lambda url: report([url]), "workdir"),
        (lambda url: load(url), "model"),
        (lambda url: find([url]), "a picture"),
        (lambda url: compile_cache.use(url), "compile_cache"),
        (lambda url: config.load(f"{url}.py"), "recipe"),
        (lambda url: Cifar10().resolve(url), "data_dir"),
    ],
)
@pytest.mark.parametrize("url", [BUCKET, "S3://bucket"])
def test_row_8_urls_in_the_python_api(use, name, url):
    with pytest.raises(UserError, match=f"^{name} must be a local path, got '") as error:
        use(url)
    assert one_line(str(error.value))


def test_a_url_in_the_environment(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://tfds-data/datasets")
    with pytest.raises(UserError, match=r"^\$TFDS_DATA_DIR must be a local path, got 'gs://tfds"):
        Cifar10().resolve()


@pytest.mark.parametrize("path", ["a", "a/b", "/a:/b", "C:/a", "a//b", "x:y", "../x://"])
def test_other_paths_are_kept(path):
    assert local_path(path, "output") == Path(path) == local_path(Path(path), "output")


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home-of-tests")
    assert local_path("~/x", "output") == Path("/home-of-tests/x")
    with pytest.raises(UserError, match=r"^output=~nosuchuser/x: "):
        local_path("~nosuchuser/x", "output")

"""Rows 14, 15 and 27 of docs/reliability.md: one line, and the way out."""

from __future__ import annotations

import shutil

import jax
import jax.numpy as jnp
import pytest
from program import TINY, one_line, run_script

from cnn_jax import cli

CONFIG = {
    "typo": ("--config.batch_sise=32", "batch_size"),
    "typo below": ("--config.optimizer.momentun=0.9", "momentum"),
    "wrong type": ("--config.epochs=many", "epochs"),
    "fraction of a count": ("--config.batch_size=1.5", "batch_size"),
    "negative": ("--config.batch_size=-32", "batch_size"),
    "zero": ("--config.epochs=0", "epochs"),
    "NaN": ("--config.optimizer.peak_lr=nan", "peak_lr"),
    "infinite": ("--config.optimizer.weight_decay=inf", "weight_decay"),
    "unknown choice": ("--config.precision=float16", "bfloat16"),
}
NAMES = {
    "recipe": ("--config=cifar10_resnet", ("cifar10_resnet20", "cifar10_resnet18")),
    "model": ("--config.model=ResNet19", ("ResNet18", "ResNet20")),
    "loss": ("--config.loss=Sofmax", ("Softmax",)),
    "data set": ("--config.data=Cifar", ("Cifar10",)),
    "augmentation": ("--config.augment=(Flipp(),)", ("Flip",)),
}


def error_of(capsys, *arguments: str) -> str:
    assert cli.main(["run.py", *arguments]) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    (error,) = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert one_line(error)
    return error


@pytest.mark.parametrize("mistake", CONFIG)
def test_row_14_a_mistake_in_the_config_names_the_field(mistake, capsys, tmp_path):
    argument, named = CONFIG[mistake]
    assert named in error_of(capsys, *TINY, argument, f"--workdir={tmp_path}/run")
    assert not (tmp_path / "run").exists()


SWEEPS = {
    "batch_size=16,512": "512",
    "keep_best=False,True": "keep_best=True",
    "data.train=256,8": "data.train=8",
    "freeze=(),('nothing/*',)": "nothing/*",
}


@pytest.mark.parametrize("values", SWEEPS)
def test_row_14_a_sweep_trains_nothing_where_a_later_run_does_not_fit_its_data(
    values, capsys, tmp_path
):
    data = "--config.data=Shapes(train=256, validation=0, test=75)"
    asked = ("--mode=sweep", f"--sweep={values}", f"--workdir={tmp_path}/runs")
    assert SWEEPS[values] in error_of(capsys, *TINY, data, *asked)
    assert not (tmp_path / "runs").exists()


def test_row_10_a_sweep_trains_nothing_where_a_later_run_is_of_another_experiment(
    capsys, finished, tmp_path
):
    shutil.copytree(finished, tmp_path / "seed=1")
    asked = ("--mode=sweep", "--sweep=seed=0,1", f"--workdir={tmp_path}")
    assert "another experiment" in error_of(capsys, *TINY, *asked)
    assert [path.name for path in tmp_path.iterdir()] == ["seed=1"]


@pytest.mark.parametrize("flag", ["--dry_run", "--print_config", "--list"])
def test_row_14_what_is_asked_instead_of_training_goes_with_no_other_mode(flag, capsys):
    error = error_of(capsys, *TINY, flag, "--mode=volumes")
    assert flag in error and "--mode=train" in error


@pytest.mark.parametrize("kind", NAMES)
def test_row_15_an_unknown_name_brings_those_there_are(kind, capsys, tmp_path):
    argument, any_of = NAMES[kind]
    error = error_of(capsys, argument, f"--workdir={tmp_path}/run")
    assert any(name in error for name in any_of)
    assert not (tmp_path / "run").exists()


def test_row_27_running_out_of_memory_is_one_line(monkeypatch, capsys):
    ask = cli.MODES["train"]._replace(run=lambda command: jnp.zeros((2**30, 2**14)))
    monkeypatch.setitem(cli.MODES, "train", ask)
    assert cli.main(["run.py"]) == 1
    message = capsys.readouterr().err
    assert one_line(message)
    for part in ("65,536.0 GiB wanted", "GiB present", "batch_size", "Accumulate"):
        assert part in message


def test_another_error_of_jax_keeps_its_traceback(monkeypatch):
    fail = cli.MODES["train"]._replace(run=_fail)
    monkeypatch.setitem(cli.MODES, "train", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        cli.main(["run.py"])


def _fail(command):
    raise jax.errors.JaxRuntimeError("INTERNAL: something else")


def test_windows_without_wsl_is_one_line():
    """It lacks `fcntl` and `resource`."""
    done = run_script(
        "import runpy, sys\n"
        "sys.modules |= {'fcntl': None, 'resource': None}\n"
        "sys.argv = ['run.py', '--list']\n"
        "runpy.run_path('run.py', run_name='__main__')\n"
    )
    assert done.returncode == 2 and one_line(done.stderr)
    assert "Linux and macOS" in done.stderr and "WSL" in done.stderr

"""JAX's own settings: refused in one line where nothing would work, otherwise recorded."""

from __future__ import annotations

import jax
import pytest
from program import TINY, one_line, run
from small_run import EXPERIMENT, QUIET

from cnn_jax import cli
from cnn_jax.errors import UserError
from cnn_jax.runtime import hardware
from cnn_jax.train import train

REFUSED = {
    "jax_enable_x64": True,
    "jax_disable_jit": True,
    "jax_numpy_rank_promotion": "raise",
    "jax_transfer_guard": "disallow_explicit",
}


@pytest.fixture
def setting(monkeypatch):
    """A function that changes a setting of JAX for the test, as its environment variable does."""
    before = {}

    def change(name, value):
        before[name] = getattr(jax.config, name)
        jax.config.update(name, value)

    yield change
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("mode", [[], ["--dry_run"], ["--mode=evaluate"], ["--mode=benchmark"]])
def test_a_setting_under_which_nothing_works_is_one_line_before_anything_runs(
    name, mode, setting, tmp_path, capsys
):
    setting(name, REFUSED[name])
    overrides = [] if "--mode=evaluate" in mode else TINY
    assert cli.main(["run.py", *overrides, *mode, f"--workdir={tmp_path}/run"]) == 2
    error = capsys.readouterr().err
    error = error[error.index("error: ") :]
    assert one_line(error) and name in error and f"${name.upper()}" in error
    assert not [*tmp_path.iterdir()]


def test_a_value_that_jax_does_not_know_is_one_line():
    """JAX raises it as it is imported, where no code of the package runs yet."""
    error = run("--list", code=2, JAX_ENABLE_X64="maybe").stderr
    assert one_line(error) and error.startswith("error: ") and "JAX_ENABLE_X64" in error


def test_train_as_a_function_refuses_it_too_and_works_in_a_block_without_it(
    setting, tmp_path, monkeypatch
):
    setting("jax_enable_x64", True)
    with pytest.raises(UserError, match="jax_enable_x64 is True"):
        train(EXPERIMENT, tmp_path / "run", console=QUIET)
    assert not [*tmp_path.iterdir()]
    monkeypatch.setattr("cnn_jax.setup.config.check", Reached.raise_it)
    with jax.enable_x64(False), pytest.raises(Reached):
        train(EXPERIMENT, tmp_path / "run", console=QUIET)


class Reached(Exception):
    @classmethod
    def raise_it(cls, *_, **__):
        raise cls


def test_the_settings_that_change_results_are_recorded(setting):
    setting("jax_default_prng_impl", "rbg")
    recorded = hardware.manifest()["jax_settings"]
    assert recorded == {
        "jax_default_prng_impl": "rbg",
        "jax_threefry_partitionable": True,
        "jax_default_matmul_precision": None,
    }

"""A plan for slices: on simulated devices, and, where libtpu is installed, on a TPU's compiler."""

from __future__ import annotations

import importlib.util
import io
import json

import jax
import pytest
from program import run
from rich.console import Console

from cnn_jax import models
from cnn_jax.analysis import structure
from cnn_jax.data import Shapes
from cnn_jax.errors import UserError
from cnn_jax.experiment import Experiment
from cnn_jax.modes.slice_plan import slice_plan
from cnn_jax.tpu.chips import chip_of
from cnn_jax.tpu.slices import Slices

DATA = Shapes(train=64, validation=0, test=8)
# Of ConvNet(widths=(4, 8), hidden=16) on 32x32x3 images and 10 classes.
PARAMETERS = (27 * 4 + 4) + (36 * 4 + 4) + (36 * 8 + 8) + (72 * 8 + 8) + (512 * 16 + 16) + 170


def experiment(**fields) -> Experiment:
    net = models.ConvNet(widths=(4, 8), hidden=16)
    usual = {"data": DATA, "model": net, "batch_size": 16, "convolutions": "stock"}
    return Experiment(**(usual | fields))


@pytest.fixture
def simulated(monkeypatch):
    """Four CPU devices stand for a slice."""
    found = Slices("v5e:2x2", 1, (2, 2), chip_of("TPU v5 lite"), jax.devices())
    monkeypatch.setattr("cnn_jax.tpu.slices.slices", lambda *_: found)
    return found


def plan(one, **options) -> tuple[dict, str]:
    out = io.StringIO()
    result = slice_plan(one, "v5e:2x2", console=Console(file=out, width=120), **options)
    return result, out.getvalue()


def test_a_plan_on_simulated_devices(simulated, tmp_path):
    result, shown = plan(experiment(), output=str(tmp_path / "plan.json"))
    assert json.loads((tmp_path / "plan.json").read_text())["chips"] == 4
    sizes = [one["bytes"] for one in result["collectives"]]
    assert sum(sizes) == 4 * (PARAMETERS + 3)  # gradients; loss, right answers, examples
    assert {one["devices"] for one in result["collectives"]} == {4}
    # A quarter of three forward passes over the batch; the first layer has no gradient of images.
    net = models.ConvNet(widths=(4, 8), hidden=16, num_classes=10)
    forward = structure.forward_flops(net, (32, 32, 3))
    assert result["formula_flops"] == 3 * forward * 16 / 4
    assert 0.8 < result["flops"] / result["formula_flops"] < 1.2
    assert result["remarks"] == []
    seconds = result["predicted_seconds"]
    assert seconds["compute"] == result["flops"] / 197e12
    assert seconds["memory"] == result["bytes_accessed"] / 819e9
    assert f"{result['binds']} is the longest" in shown
    assert "16, 4 on each" in shown and "fits in 16.00 GiB" in shown


def test_a_host_callback_is_remarked(simulated):
    class Calls(models.ConvNet):
        def __call__(self, image, *, train):
            jax.debug.callback(lambda pixel: None, image[0, 0, 0, 0])
            return super().__call__(image, train=train)

    result, shown = plan(experiment(model=Calls(widths=(4, 8), hidden=16)))
    assert result["callbacks"] > 0
    assert "the chip waits for Python" in shown


def test_a_batch_that_does_not_divide_names_the_nearest(simulated):
    with pytest.raises(
        UserError, match="multiple of the 4 devices, got 18; the nearest is 16 or 20"
    ):
        plan(experiment(batch_size=18))


def test_what_can_not_be_planned_is_told_before_anything_is_compiled(simulated, tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        plan(experiment(), output=str(tmp_path / "nowhere" / "plan.json"))
    with pytest.raises(UserError, match=r"must end in \.json"):
        plan(experiment(), output=str(tmp_path / "plan.csv"))
    with pytest.raises(UserError, match="needs parallel='jit', got 'pmap'"):
        plan(experiment(parallel="pmap"))


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed: the extra `tpu`"
)
@pytest.mark.parametrize(("topology", "more"), [("v5e:2x2", ()), ("v5e:2x2", ("--num_slices=2",))])
def test_a_plan_by_the_compiler_for_tpus(topology, more, tmp_path):
    arguments = (
        "--dry_run",
        f"--topology={topology}",
        *more,
        "--config.data=Shapes(train=64, validation=0, test=8)",
        "--config.model=ConvNet(widths=(4, 8), hidden=16)",
        "--config.optimizer=SGD(peak_lr=0.1)",
        "--config.batch_size=64",
        f"--compile_cache={tmp_path}/cache",
    )
    shown = run(*arguments, f"--output={tmp_path}/plan.json")
    assert "WARNING" not in shown.stderr  # libtpu complains where it finds no TPU
    result = json.loads((tmp_path / "plan.json").read_text())
    assert result["device_kind"] == "TPU v5 lite" and result["remarks"] == []
    within = [one for one in result["collectives"] if not one["between_slices"]]
    if more:
        # Each chip sends its quarter, in tiles of at least 512 bytes.
        sent = [one["bytes"] for one in result["collectives"] if one["between_slices"]]
        assert PARAMETERS <= sum(sent) < 16 * PARAMETERS
    else:
        # The gradients and the loss in one sum; the other has two counts.
        assert sorted(one["bytes"] for one in within) == [8, 4 * (PARAMETERS + 1)]
    assert {one["devices"] for one in within} == {4}
    assert 0.9 < result["flops"] / result["formula_flops"] < 1.1
    run(*arguments, f"--output={tmp_path}/again.json")  # what was compiled is kept
    assert json.loads((tmp_path / "again.json").read_text()) == result

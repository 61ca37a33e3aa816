"""The side-by-side benchmark: its arithmetic, its workers, and the net that PyTorch is given."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from program import ROOT, environment

from cnn_jax.data import DataUnavailable
from cnn_jax.results import sizes

BENCHMARKS = ROOT / "benchmarks"
TORCH_PYTHON = os.environ.get("CNN_JAX_TORCH_PYTHON") or (
    sys.executable if importlib.util.find_spec("torch") else None
)
needs_torch = pytest.mark.skipif(
    TORCH_PYTHON is None, reason="needs CNN_JAX_TORCH_PYTHON, a Python that has torch"
)


@pytest.fixture(autouse=True)
def _scripts_import_each_other(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def last_line(*command: str) -> dict:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_ratios_are_taken_pair_by_pair():
    import pairs

    # 200/100, 180/120, 300/100, 90/100: not the ratio of the medians, 190/100.
    found = pairs.ratios([200, 180, 300, 90], [100, 120, 100, 100])
    assert found == {"median": 1.75, "min": 0.9, "max": 3.0}
    assert pairs.in_words(found) == "1.75 (0.90..3.00)"


def test_a_run_without_its_pair_is_refused():
    import pairs

    with pytest.raises(ValueError, match="shorter"):
        pairs.ratios([200, 180], [100])


def contender(name: str, program: str):
    from contenders import Contender

    return Contender(name, (sys.executable, "-c", program), {}, {"layout": name})


def test_the_fastest_setting_is_chosen_and_one_that_fails_is_passed_over():
    from contenders import fastest

    speeds = {"a": 10.0, "b": 30.0, "c": 20.0}
    field = [contender("broken", "raise SystemExit('no compiler')")]
    for name, speed in speeds.items():
        field.append(
            contender(name, f"print('chatter'); print('{{\"images_per_second\": {speed}}}')")
        )
    best, tried = fastest(field, warm_up=1, steps=1)
    assert best.name == "b"
    assert {row["layout"]: row["images_per_second"] for row in tried} == speeds


def test_pytorch_is_tried_in_both_layouts_with_and_without_tuned_malloc():
    import contenders

    from cnn_jax.runtime import malloc

    field = contenders.torch("torch-eager-float32", "vgg16", 64, "a python")
    assert {(c.setting["layout"], c.setting["malloc"]) for c in field} == {
        (layout, name)
        for layout in ("contiguous", "channels_last")
        for name in ("tuned", "default")
    }
    for one in field:
        assert one.command[0] == "a python"
        assert f"--layout={one.setting['layout']}" in one.command
        tuned = one.setting["malloc"] == "tuned"
        assert one.environment == {malloc.VARIABLE: malloc.MALLOC if tuned else ""}


def test_a_contender_that_fails_says_why():
    from contenders import ContenderFailed, fastest

    with pytest.raises(ContenderFailed, match=r"^no compiler$"):
        fastest([contender("broken", "raise SystemExit('no compiler')")], warm_up=1, steps=1)


def test_side_by_side_writes_ratios_and_prints_a_table(monkeypatch, tmp_path, capsys):
    import contenders
    import side_by_side

    facts = {"threads": 2, "device": "a CPU", "data": "random", "git": {}, "versions": {"it": "1"}}

    def fake(name: str, speed: float, memory: float) -> contenders.Contender:
        row = facts | {"images_per_second": speed, "peak_rss_bytes": memory}
        return contender(name, f"print({json.dumps(json.dumps(row))})")

    def torch(name, *rest):
        if name == "torch-bfloat16":
            return [contender(name, "raise SystemExit('no such instruction')")]
        return [fake(name, 150.0, 1e9), fake(name, 160.0, 1e9)]

    speeds = {"cnn_jax": 200.0, "jax-stock": 80.0}
    monkeypatch.setattr(contenders, "jax", lambda name, *rest: fake(name, speeds[name], 2e9))
    monkeypatch.setattr(contenders, "torch", torch)
    out = tmp_path / "new" / "out.json"
    against = "torch-eager-float32,torch-bfloat16,jax-stock"
    flags = [f"--against={against}", "--torch_python=python", "--pairs=3", f"--out={out}"]
    monkeypatch.setattr(sys, "argv", ["side_by_side.py", *flags])
    assert side_by_side.main() == 0
    result = json.loads(out.read_text())
    speed = {name: row["images_per_second"]["median"] for name, row in result["ratios"].items()}
    assert speed == {"torch-eager-float32": 1.25, "jax-stock": 2.5}
    assert result["ratios"]["torch-eager-float32"]["peak_rss_bytes"]["max"] == 2.0
    assert result["left_out"] == {"torch-bfloat16": "no such instruction"}
    assert [len(runs) for runs in result["runs"].values()] == [3, 3, 3]
    printed = capsys.readouterr().out
    assert "1.25 (1.25..1.25)" in printed
    assert "batch 500" in printed


def test_the_jax_worker_times_the_steps_of_a_recipe():
    row = last_line(
        sys.executable,
        str(BENCHMARKS / "jax_worker.py"),
        "--config.data=Shapes(train=256, validation=64, test=75)",
        "--config.model=MLP(hidden=(16,))",
        "--config.optimizer=SGD(peak_lr=0.05)",
        "--config.batch_size=32",
        "--config.convolutions=stock",
        "--warm_up=1",
        "--steps=2",
    )
    assert row["batch_size"] == 32
    assert row["convolutions"] == "stock"
    assert row["data"] == "shapes"
    assert len(row["warm_up_seconds"]) == 1
    assert len(row["step_seconds"]) == 2
    assert row["images_per_second"] == pytest.approx(32 / np.median(row["step_seconds"]))
    assert row["peak_rss_bytes"] > 50e6
    for key in ("threads", "device", "versions", "precision", "compile_seconds", "malloc", "git"):
        assert key in row


def test_without_data_the_jax_worker_takes_random_pictures(capsys):
    import jax_worker

    class Nowhere:
        def resolve(self, data_dir=None):
            raise DataUnavailable("it is nowhere")

    facts, train = jax_worker.training_data(Nowhere(), None)
    assert facts.name == "random"
    assert facts.train == len(train) == 50_000
    assert train.images.shape[1:] == facts.image_shape
    assert "it is nowhere" in capsys.readouterr().err


@needs_torch
def test_torch_has_the_same_nets():
    import contenders

    program = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); import torch_nets, torch_worker;"
        "print(json.dumps({n: torch_nets.parameters(m()) for n, m in torch_worker.NETS.items()}))"
    )
    theirs = last_line(TORCH_PYTHON, "-c", program, str(BENCHMARKS))
    known = sizes.table()
    ours = {name: known[model].parameters for name, model in contenders.MODELS.items()}
    assert theirs == {"airbench94": 1_971_640} | ours


@needs_torch
@pytest.mark.parametrize("mode", ["eager-float32", "autocast-bfloat16", "bfloat16"])
def test_the_torch_worker_takes_steps(mode):
    row = last_line(
        TORCH_PYTHON,
        str(BENCHMARKS / "torch_worker.py"),
        f"--mode={mode}",
        "--batch_size=4",
        "--warm_up=1",
        "--steps=1",
    )
    assert row["images_per_second"] > 0
    assert row["mode"] == mode

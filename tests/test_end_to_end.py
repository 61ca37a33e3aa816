"""The program on the real CIFAR-10, where it is at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from program import run

DATA = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "cifar10" / "3.0.2" / "dataset_info.json").exists(),
        reason="CIFAR-10 is not prepared in $TFDS_DATA_DIR or ~/tensorflow_datasets",
    ),
]


def test_lenet_learns_cifar10_and_evaluates_to_the_same(tmp_path):
    folder = tmp_path / "run"
    trained = run("--config=cifar10_lenet", "--config.epochs=1", f"--workdir={folder}")
    assert "on cifar10 (45,000 train, 5,000 validation, 10,000 test)" in trained.stdout
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["dataset"] == "cifar10"
    assert summary["parameters"] == 62_006
    assert summary["steps"] == 45_000 // 64 or summary["steps"] == 45_000 // 128
    assert 0.38 < summary["test_accuracy"] < 0.60
    run("--mode=evaluate", f"--workdir={folder}", "--eval_batch=333")
    result = json.loads((folder / "evaluation.json").read_text())
    assert result["accuracy"] == summary["test_accuracy"]
    assert sum(map(sum, result["confusion"])) == 10_000

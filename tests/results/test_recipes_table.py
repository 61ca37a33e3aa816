from __future__ import annotations

import json
import re

from cnn_jax import config
from cnn_jax.results import recipes_table

ROW = {
    "dataset": "cifar10",
    "parameters": 287408,
    "n": 2,
    "test_accuracy_mean": 0.8612,
    "test_accuracy_sd": 0.002,
    "train_seconds": 85.0,
    "device": "AMD EPYC, 2 cores",
    "software": {"python": "3.13.1", "jax": "0.12.0"},
}


def named(table: str) -> list[str]:
    return re.findall(r"^\| `(\w+)`", table, re.MULTILINE)


def test_each_recipe_is_either_measured_or_unverified(tmp_path):
    for name in ("quickstart", "cifar10_mlp", "cifar10_mlp-gpu"):
        (tmp_path / f"{name}.json").write_text(json.dumps(ROW))
    measured = recipes_table.measured_table(results=tmp_path)
    unverified = recipes_table.unverified_table(tmp_path)
    assert named(measured) == ["cifar10_mlp", "cifar10_mlp", "quickstart"]
    assert sorted({*named(measured), *named(unverified)}) == sorted(config.recipes())
    assert not set(named(measured)) & set(named(unverified))
    assert "| 86.12 % ± 0.20 (n=2) | 1 min 25 s |" in measured


def test_named_recipes_stand_in_the_order_of_their_names(tmp_path):
    names = ["quickstart", "cifar10_mlp"]
    for name in [*names, "cifar10_lenet"]:
        (tmp_path / f"{name}.json").write_text(json.dumps(ROW))
    assert named(recipes_table.measured_table(names, tmp_path)) == names

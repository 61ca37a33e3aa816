from __future__ import annotations

import json
import sys

from cnn_jax import config
from cnn_jax.config.names import NAMES
from cnn_jax.results.writing import write_result


def test_the_command_is_recorded_without_the_places_of_a_machine(tmp_path, monkeypatch):
    places = ["--workdir=/a/b", "--data_dir", "/c"]
    arguments = ["--config=quickstart", *places, "--record", "--config.seed", "1"]
    monkeypatch.setattr(sys, "argv", ["/d/run.py", *arguments])
    summary = {"dataset": "cifar10", "seed": 1, "test_accuracy": 0.5}
    path = write_result(config.load("quickstart", NAMES), [summary], tmp_path)
    command = json.loads(path.read_text())["command"]
    assert command == "python run.py --config=quickstart --record --config.seed 1"

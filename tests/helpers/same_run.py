"""Whether two runs came to the same: bit for bit, in state, metrics and TensorBoard's scalars."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jax
import numpy as np
from tensorboard_events import scalars_shown

from cnn_jax.runs import restore

TIMES = {"seconds", "images_per_second", "input_wait"}


def bits(state) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(jax.device_get(state))]


def untimed(folder: Path) -> list[dict]:
    """The rows of metrics, less the keys that measure time."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """What TensorBoard shows of a run, less what measures time."""
    shown = scalars_shown(folder / "tensorboard")
    return {key: value for key, value in shown.items() if key[0].split("/")[1] not in TIMES}


def assert_same_run(one: Path, other: Path) -> None:
    states = [restore(folder)[1] for folder in (one, other)]
    assert len(bits(states[0])) > 8
    assert bits(states[0]) == bits(states[1])
    assert untimed(one) == untimed(other)
    assert scalars(one) == scalars(other)


def wait_for_checkpoint(folder: Path, step: int) -> None:
    """Returns once a checkpoint of this step or a later one exists."""
    deadline = time.monotonic() + 120
    while not any(int(found.name) >= step for found in folder.glob("checkpoints/[0-9]*[0-9]")):
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.005)

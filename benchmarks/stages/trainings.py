"""Stage 4: trainings by published recipes, each within a slot; a later call resumes them."""

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.task import Context, Row

ROOT = Path(__file__).resolve().parents[2]


def of(recipe: str, seed: int = 0) -> Any:
    """The task that trains a recipe in bfloat16 under one seed."""
    return functools.partial(train, recipe, seed)


def train(recipe: str, seed: int, context: Context) -> Iterator[Row]:
    """Trains by `run.py`, whose workdir stays: stopped at its limit, the next call resumes it."""
    folder = context.scratch / "trainings" / f"{recipe}-{seed}"
    command = [sys.executable, "run.py", f"--config.seed={seed}", f"--workdir={folder}"]
    if context.rehearse:
        command += ["--config.data=Shapes(train=256, validation=64, test=64)"]
        command += ["--config=cifar10_mlp", "--config.model=MLP(hidden=(8,))"]
        command += ["--config.batch_size=32", "--config.epochs=2"]
    else:
        command += [f"--config={recipe}", "--config.precision=bfloat16"]
    if context.data_dir:
        command.append(f"--data_dir={context.data_dir}")
    subprocess.run(command, cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    summary = json.loads((folder / "summary.json").read_text())
    kept = ("test_accuracy", "train_seconds", "compile_seconds", "epochs", "steps", "parameters")
    yield f"training/{recipe}/seed={seed}", {key: summary[key] for key in kept}

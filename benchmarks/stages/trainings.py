"""Stage 4: trainings by published recipes, each within a slot; a later call resumes them."""

import functools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.nets import command
from stages.task import Context, Row

ROOT = Path(__file__).resolve().parents[2]


def of(recipe: str, seed: int = 0) -> Any:
    """The task that trains a recipe in bfloat16 under one seed."""
    return functools.partial(train, recipe, seed)


def train(recipe: str, seed: int, context: Context) -> Iterator[Row]:
    """Trains by `run.py`, whose workdir stays: stopped at its limit, the next call resumes it."""
    folder = context.scratch / "trainings" / f"{recipe}-{seed}"
    flags = f"--config.seed={seed}", f"--workdir={folder}"
    subprocess.run(command(recipe, context, *flags), cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    summary = json.loads((folder / "summary.json").read_text())
    kept = ("test_accuracy", "train_seconds", "compile_seconds", "epochs", "steps", "parameters")
    yield f"training/{recipe}/seed={seed}", {key: summary[key] for key in kept}

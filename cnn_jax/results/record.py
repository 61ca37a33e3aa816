"""The measured runs in results/, which README's table is made from."""

from __future__ import annotations

import re
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

import jax

from cnn_jax import config
from cnn_jax.errors import UserError
from cnn_jax.runtime import hardware
from cnn_jax.storage.json_files import write_json

# Flags that decide where things lie, and no number.
PLACES = ("workdir", "data_dir", "compile_cache")
RESULTS = Path(__file__).resolve().parents[2] / "results"


def check_recordable(recipe: config.Recipe, overridden: tuple[str, ...]) -> None:
    """Raises UserError where the number would not be one of a recipe in experiments/."""
    if config.recipes().get(recipe.name) != recipe.path.resolve():
        raise UserError(f"--record is for the recipes in experiments/, and {recipe.path} is not")
    changed = [name for name in overridden if name != "seed"]
    if changed:
        raise UserError(
            f"--record is for the recipe as it stands: drop --config.{changed[0]}, or make it a "
            "recipe of its own"
        )


def record(recipe: config.Recipe, summaries: list[dict[str, Any]], folder: Path = RESULTS) -> Path:
    """Writes what runs of a recipe over several seeds came to; returns the file.

    Raises:
      UserError: results on the built-in shapes, which are never shown as those of CIFAR-10.
    """
    first = summaries[0]
    if first["dataset"] == "shapes":
        raise UserError(f"{recipe.name} was trained on the built-in shapes: not recorded")
    accuracies = [summary["test_accuracy"] for summary in summaries]
    averaged = [key for key in first if _measured(key) and first[key] is not None]
    row = first | {key: statistics.mean(s[key] for s in summaries) for key in averaged}
    row |= {
        "seeds": [summary["seed"] for summary in summaries],
        "n": len(summaries),
        "test_accuracies": accuracies,
        "test_accuracy_mean": row["test_accuracy"],
        "test_accuracy_sd": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "command": _command(),
        **hardware.git(),
    }
    del row["seed"]
    device = jax.local_devices()[0]
    kind = _slug(device.device_kind)
    name = recipe.name if device.platform == "cpu" else f"{recipe.name}-{kind}"
    path = folder / f"{name}.json"
    folder.mkdir(exist_ok=True)
    write_json(path, row)
    return path


def record_benchmark(recipe: config.Recipe, result: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Writes what a benchmark of a recipe came to; returns the file, one a recipe and device.

    Raises:
      UserError: it ran on the built-in shapes.
    """
    if result["dataset"] == "shapes":
        raise UserError(f"{recipe.name} ran on the built-in shapes: not recorded")
    path = folder / "benchmarks" / f"{recipe.name}-{_slug(result['device'])}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result | {"command": _command()})
    return path


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _command() -> str:
    """What was typed, but for where things lie on this machine."""
    shown, given = [], iter(sys.argv[1:])
    for argument in given:
        name, assigned, _ = argument.lstrip("-").partition("=")
        if name not in PLACES:
            shown.append(argument)
        elif not assigned:
            next(given, None)  # the place itself
    return shlex.join(["python", "run.py", *shown])


def _measured(key: str) -> bool:
    return any(word in key for word in ("accuracy", "loss", "second"))

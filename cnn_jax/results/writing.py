"""Writes measured runs and benchmarks to results/, from which the tables of the docs are made."""

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

# Flags that name places on this machine and do not change the result.
PLACES = ("workdir", "data_dir", "compile_cache")
RESULTS = Path(__file__).resolve().parents[2] / "results"


def check_recordable(recipe: config.Recipe, overridden: tuple[str, ...]) -> None:
    """Raises UserError unless the recipe is one of experiments/, with no override but the seed."""
    if config.recipes().get(recipe.name) != recipe.path.resolve():
        raise UserError(f"--record: {recipe.path} is not in experiments/: move the recipe there")
    changed = [name for name in overridden if name != "seed"]
    if changed:
        raise UserError(
            f"--record: --config.{changed[0]} changes the recipe: drop the flag, or add a recipe "
            "with this setting"
        )


def write_result(
    recipe: config.Recipe, summaries: list[dict[str, Any]], folder: Path = RESULTS
) -> Path:
    """Writes the result of a recipe, averaged over its seeds.

    Args:
      recipe: The recipe.
      summaries: The content of each run's summary.json; the runs differ only in their seed.
      folder: Where the file goes.

    Returns:
      The file: RECIPE.json for a CPU, RECIPE-DEVICE.json for another device.

    Raises:
      UserError: the runs used the synthetic Shapes, whose numbers are not those of CIFAR-10.
    """
    first = summaries[0]
    _refuse_shapes(recipe, first)
    accuracies = [summary["test_accuracy"] for summary in summaries]
    words = ("accuracy", "loss", "second")
    averaged = [k for k, v in first.items() if v is not None and any(word in k for word in words)]
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
    suffix = "" if device.platform == "cpu" else f"-{slug(device.device_kind)}"
    return _write(folder / f"{recipe.name}{suffix}.json", row)


def write_benchmark(recipe: config.Recipe, result: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Writes the benchmark of a recipe to FOLDER/benchmarks/RECIPE-DEVICE.json, which it returns.

    Raises:
      UserError: the benchmark used the synthetic Shapes.
    """
    _refuse_shapes(recipe, result)
    path = folder / "benchmarks" / f"{recipe.name}-{slug(result['device'])}.json"
    return _write(path, result | {"command": _command()})


def _refuse_shapes(recipe: config.Recipe, result: dict[str, Any]) -> None:
    if result["dataset"] == "shapes":
        raise UserError(
            f"--record: {recipe.name} ran on the synthetic Shapes: nothing is recorded; "
            "prepare CIFAR-10 and run it again"
        )


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    return path


def slug(text: str) -> str:
    """The text as a part of a file's name: lower case, with dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _command() -> str:
    """The command line, without the flags that name places on this machine."""
    shown, given = [], iter(sys.argv[1:])
    for argument in given:
        name, assigned, _ = argument.lstrip("-").partition("=")
        if name not in PLACES:
            shown.append(argument)
        elif not assigned:
            next(given, None)  # the place itself
    return shlex.join(["python", "run.py", *shown])

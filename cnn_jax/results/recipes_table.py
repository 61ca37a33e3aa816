"""Lists the recipes with their published and measured numbers, and writes them as tables."""

import ast
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax import config
from cnn_jax.results.writing import RESULTS
from cnn_jax.terminal.durations import duration


class Entry(NamedTuple):
    """A recipe with its numbers.

    Attributes:
      name: The recipe's name.
      about: First sentence of its docstring.
      published: The published accuracy and its source, from the docstring.
      measured: Its rows in results/, one for each device; empty: the recipe is unverified.
    """

    name: str
    about: str
    published: str
    measured: list[dict[str, Any]]


def recipe_entries(results: Path = RESULTS) -> Iterator[Entry]:
    """Every recipe in experiments/; their files are parsed, not executed."""
    for name, path in config.recipes().items():
        doc = ast.get_docstring(ast.parse(path.read_bytes())) or ""
        published = re.search(r"^Published: (.*?)\s*(?:Measured:|$)", doc, re.MULTILINE)
        measured = [results / f"{name}.json", *sorted(results.glob(f"{name}-*.json"))]
        yield Entry(
            name=name,
            about=re.split(r"\s{2,}", doc.partition("\n")[0])[0],
            published=published[1].rstrip(".") if published else "none",
            measured=[json.loads(p.read_bytes()) for p in measured if p.exists()],
        )


def accuracy_text(row: dict[str, Any]) -> str:
    """The test accuracy in a row of results/: mean, standard deviation and number of runs."""
    spread = f" ± {100 * row['test_accuracy_sd']:.2f}" if row["n"] > 1 else ""
    return f"{100 * row['test_accuracy_mean']:.2f} %{spread} (n={row['n']})"


def hardware_text(row: dict[str, Any]) -> str:
    """The data set, device and versions of a row of results/."""
    return f"{row['dataset']}, {where_text(row)}"


def where_text(measured: dict[str, Any]) -> str:
    """The device and the versions of a measurement."""
    software = measured["software"]
    python = software["python"].rpartition(".")[0]
    return f"{measured['device']}, Python {python}, jax {software['jax']}"


def measured_table(names: Collection[str] | None = None, results: Path = RESULTS) -> str:
    """The measured recipes as a Markdown table; if named, only these and in this order."""
    entries = {entry.name: entry for entry in recipe_entries(results)}
    lines = [
        "| recipe | parameters | published | measured test accuracy | training time "
        "| data, hardware, versions |",
        "|---|--:|---|---|--:|---|",
    ]
    for entry in (entries[name] for name in names or entries):
        lines += [
            f"| `{entry.name}` | {row['parameters']:,} | {entry.published} | "
            f"{accuracy_text(row)} | {duration(row['train_seconds'])} | {hardware_text(row)} |"
            for row in entry.measured
        ]
    return "\n".join(lines)


def unverified_table(results: Path = RESULTS) -> str:
    """The recipes without a measured number as a Markdown table."""
    lines = ["| recipe | description | published |", "|---|---|---|"]
    for entry in recipe_entries(results):
        if not entry.measured:
            about = entry.about.removesuffix(".")
            lines.append(f"| `{entry.name}` | {about} | {entry.published} |")
    return "\n".join(lines)

"""The table of benchmarks/tricks.py, for docs/tricks.md."""

import json
from typing import Any

from cnn_jax.results.recipes_table import hardware_text
from cnn_jax.results.writing import RESULTS


def tricks_table() -> str:
    """Each trick's accuracy, its difference to the recipe without it, and what that shows."""
    measured = json.loads((RESULTS / "tricks.json").read_bytes())
    lines = [
        "| trick | flag | test accuracy, % | difference, points | p | shown |",
        "|---|---|---|---|--:|---|",
    ]
    for row in measured["tricks"]:
        flag = f"`{row['flag']}`" if row["flag"] else ""
        mean = row["percent"]
        accuracy = f"{mean['mean']:.2f} ({mean['low']:.2f} to {mean['high']:.2f})"
        shown = _shown(row["compared"], measured["margin"]) if row["compared"] else " |  | "
        lines.append(f"| {row['trick']} | {flag} | {accuracy} | {shown} |")
    hours = sum(row["seconds"] for row in measured["tricks"]) / 3600
    n = {len(row["seeds"]) for row in measured["tricks"]}
    where = f"{measured['recipe']}, {measured['epochs']} epochs; {hardware_text(measured)}"
    told = f"(n={'/'.join(map(str, n))}, means with 95 % intervals; {where}; {hours:.1f} hours)"
    return "\n".join([*lines, "", told])


def _shown(compared: dict[str, Any], margin: float) -> str:
    difference, p = compared["difference"], compared["p"]
    mean, low, high = (difference[key] for key in ("mean", "low", "high"))
    within = f"within {margin:g} points"
    if p < 0.05:
        word = "better" if mean > 0 else "worse"
        shown = f"{word}, {within}" if compared["equivalent"] else word
    else:
        shown = f"equivalent {within}" if compared["equivalent"] else "nothing"
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}) | {p:.2g} | {shown}"

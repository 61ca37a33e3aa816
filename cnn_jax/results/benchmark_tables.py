"""Tables of training steps on a CPU: fast beside stock convolutions, and beside PyTorch's."""

import json
from collections.abc import Mapping
from pathlib import Path

from cnn_jax.results.recipes_table import where_text
from cnn_jax.results.writing import RESULTS

FOLDER = RESULTS / "benchmarks"
# PyTorch's step in the same precision.
PEERS = {"float32": "torch-eager-float32", "bfloat16": "torch-bfloat16"}
_HEAD = (
    "| net | batch | ours, images/s | PyTorch's | ours / PyTorch's | with oneDNN | memory |",
    "|---|--:|--:|--:|--:|--:|--:|",
)


def families_table(name: str, folder: Path = FOLDER) -> str:
    """Each net with stock and with fast convolutions, from a file of benchmarks/families.py."""
    measured = json.loads((folder / name).read_bytes())
    lines = ["| net | stock, ms | fast, ms | speed-up |", "|---|--:|--:|--:|"]
    for model, row in measured["models"].items():
        stock, fast = (f"{row[kind]['median']:,.1f}" for kind in ("stock_ms", "fast_ms"))
        lines.append(f"| {model} | {stock} | {fast} | {_in_words(row['speedup'])} |")
    where = where_text(measured)
    return "\n".join([*lines, "", f"({where}, batch {measured['batch_size']})"])


def side_by_side_table(python: str, precision: str = "float32", *, folder: Path = FOLDER) -> str:
    """Speed and memory beside PyTorch's, the net with the highest ratio first.

    One table for each device, from the files of benchmarks/side_by_side.py.

    Args:
      python: The version of Python, as in "3.13".
      precision: "float32" or "bfloat16", ours and PyTorch's.
      folder: Where the files are.
    """
    peer = PEERS[precision]
    tables: dict[str, list[tuple[float, str]]] = {}
    for path in folder.glob(f"side_by_side-*-{precision}-py{python}-*.json"):
        measured = json.loads(path.read_bytes())
        if peer not in measured["ratios"]:
            continue
        speeds = {
            side["name"]: side["images_per_second"]["median"] for side in measured["contenders"]
        }
        ratio = measured["ratios"][peer]["images_per_second"]
        memory = measured["ratios"][peer]["peak_rss_bytes"]["median"]
        by_onednn = measured.get("onednn_ratios")
        cells = (
            measured["net"],
            f"{measured['batch_size']:,}",
            f"{speeds['cnn_jax']:,.1f}",
            f"{speeds[peer]:,.1f}",
            _in_words(ratio),
            _in_words(by_onednn[peer]["images_per_second"]) if by_onednn else "",
            f"{memory:.2f}",
        )
        row = -ratio["median"], f"| {' | '.join(cells)} |".replace("  ", " ")
        tables.setdefault(measured["device"], []).append(row)
    return "\n\n".join(
        "\n".join([f"{device}:", "", *_HEAD, *(line for _, line in sorted(rows))])
        for device, rows in sorted(tables.items())
    )


def _in_words(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})"

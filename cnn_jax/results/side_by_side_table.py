"""The table of training steps beside PyTorch's, from the files of benchmarks/side_by_side.py."""

import json
from pathlib import Path

from cnn_jax.results.writing import RESULTS

FOLDER = RESULTS / "benchmarks"
PEER = "torch-eager-float32"
_HEAD = (
    "| net | batch | ours, images/s | PyTorch's | ours / PyTorch's | memory | hardware |",
    "|---|--:|--:|--:|--:|--:|---|",
)


def side_by_side_table(python: str, folder: Path = FOLDER) -> str:
    """Speed and memory in float32, the net with the highest ratio first.

    Args:
      python: The version of Python, as in "3.13".
      folder: Where the files are.
    """
    rows = []
    for path in folder.glob(f"side_by_side-*-float32-py{python}.json"):
        measured = json.loads(path.read_bytes())
        if PEER not in measured["ratios"]:
            continue
        speeds = {
            side["name"]: side["images_per_second"]["median"] for side in measured["contenders"]
        }
        ratio = measured["ratios"][PEER]["images_per_second"]
        memory = measured["ratios"][PEER]["peak_rss_bytes"]["median"]
        cells = (
            measured["net"],
            f"{measured['batch_size']:,}",
            f"{speeds['cnn_jax']:,.1f}",
            f"{speeds[PEER]:,.1f}",
            f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})",
            f"{memory:.2f}",
            measured["device"].partition(",")[0],
        )
        rows.append((-ratio["median"], "| " + " | ".join(cells) + " |"))
    return "\n".join([*_HEAD, *(line for _, line in sorted(rows))])

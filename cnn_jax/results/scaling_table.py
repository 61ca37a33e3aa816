"""Tables of predicted training steps on TPU slices, from results/scaling/."""

import json
from pathlib import Path
from typing import Any

from cnn_jax.results.writing import RESULTS

FOLDER = RESULTS / "scaling"
_HEAD = (
    "| chips | images a chip | memory a chip, GiB | compute, ms | memory, ms | network, ms | "
    "images/s | efficiency |",
    "|--:|--:|--:|--:|--:|--:|--:|--:|",
)


def scaling_table(net: str, folder: Path = FOLDER) -> str:
    """Weak and strong scaling of a net.

    Args:
      net: Whose files NET-CHIPS-BATCH.json are read.
      folder: Where they are.
    """
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for path in folder.glob(f"{net}-*.json"):
        chips, batch = map(int, path.stem.rsplit("-", 2)[1:])
        found[chips, batch] = json.loads(path.read_bytes())
    whole = max(batch for chips, batch in found if chips == 1)
    each = min(batch for chips, batch in found if chips == 1)
    command = found[1, each]["command"].replace("v5e:1x1", "SLICE").replace(str(each), "BATCH")
    lines = [f"`{command}`", "", *_HEAD]
    kinds = {
        f"weak: {each} images a chip": lambda chips, batch: batch == each * chips,
        f"strong: {whole:,} images in all": lambda chips, batch: batch == whole,
    }
    for kind, belongs in kinds.items():
        lines.append(f"| **{kind}** | | | | | | | |")
        rows = {
            chips: row for (chips, batch), row in sorted(found.items()) if belongs(chips, batch)
        }
        first = None
        for chips, row in rows.items():
            batch = each * chips if kind.startswith("weak") else whole
            start = f"| {chips:,} | {batch // chips:,} |"
            if "error" in row:
                lines.append(f"{start} does not fit | | | | | |")
                continue
            rate = batch / max(row["predicted_seconds"].values())
            first = first or rate / chips
            lines.append(f"{start} {_times(row)} {rate:,.0f} | {rate / chips / first:.0%} |")
    versions = found[1, each]
    return "\n".join([*lines, "", f"(jax {versions['jax']}, libtpu {versions['libtpu']})"])


def plans_table(folder: Path = FOLDER) -> str:
    """Recipes as they are on four chips: the files of results/scaling/ without a hyphen."""
    lines = [
        "| recipe | batch, precision | memory a chip, MiB | FLOPs by formula | sums of BatchNorm | "
        "gradients and loss, bytes | remarks | compute, memory, network, ms |",
        "|---|---|--:|--:|--:|--:|---|---|",
    ]
    row: dict[str, Any] = {}
    for path in sorted(folder.glob("*.json")):
        if "-" in path.stem:
            continue
        row = json.loads(path.read_bytes())
        norms = [one for one in row["collectives"] if "Norm" in one["name"]]
        others = [one["bytes"] for one in row["collectives"] if one not in norms]
        remarks = "; ".join(row["remarks"]) or "none"
        times = ", ".join(f"{1e3 * time:.3g}" for time in row["predicted_seconds"].values())
        lines.append(
            f"| {path.stem} | {row['batch_size']:,}, {row['precision']} | "
            f"{row['memory'] / 2**20:,.0f} | {row['flops'] / row['formula_flops']:.2f} | "
            f"{len(norms)} | {sum(others) - min(others):,} | {remarks} | {times} |"
        )
    return "\n".join([*lines, "", f"(v5e:2x2, jax {row['jax']}, libtpu {row['libtpu']})"])


def _times(row: dict[str, Any]) -> str:
    shown = " | ".join(
        f"**{1e3 * time:.3g}**" if name == row["binds"] else f"{1e3 * time:.3g}"
        for name, time in row["predicted_seconds"].items()
    )
    return f"{row['memory'] / 2**30:.2f} | {shown} |"

"""Predicts how three nets scale over TPU v5e chips, by compiling each step for slices of them.

    python benchmarks/scaling_plan.py            # hours; goes on where it stopped
    python benchmarks/scaling_plan.py --table    # the tables of docs/scaling.md

Each row is one `python run.py --dry_run --topology=...`, whose result goes to results/scaling/. It
needs libtpu (`pip install -e '.[tpu]'`), and no TPU. Weak scaling keeps the images of a chip,
strong scaling those of the whole batch. Up to 256 chips are one slice; more are slices of 256.
Recipes as they are, on four chips, come first.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "scaling"
A_CHIP, WHOLE = 64, 4096
# Chips: the flags of their topology.
SLICES = {
    1: "--topology=v5e:1x1",
    4: "--topology=v5e:2x2",
    16: "--topology=v5e:4x4",
    64: "--topology=v5e:8x8",
    256: "--topology=v5e:16x16",
    1024: "--topology=v5e:16x16 --num_slices=4",
    4096: "--topology=v5e:16x16 --num_slices=16",
}
CIFAR = "--config.data='Absent(train=1000000, size=32, classes=10)'"
NETS = {
    "wrn28_10": f"--config=cifar10_wrn28_10 {CIFAR} --config.precision=bfloat16",
    "resnet50": "--config=imagenet_resnet50 --config.data=Absent --config.precision=bfloat16",
    "airbench94": f"--config=cifar10_airbench94 {CIFAR}",
}
# As they are, with their own batch and data, on four chips.
RECIPES = (
    "quickstart",
    "cifar10_convnet",
    "cifar10_resnet20",
    "cifar10_resnet18",
    "cifar10_mobilenetv2",
    "cifar10_airbench94",
)


def rows() -> list[tuple[str, int, int]]:
    """Net, chips and batch of every row: small slices of every net first."""
    found = {}
    for chips in SLICES:
        for batch in (A_CHIP * chips, WHOLE):
            for net in NETS:
                found[net, chips, batch] = None
    return list(found)


def result(net: str, chips: int, batch: int) -> Path:
    return RESULTS / f"{net}-{chips}-{batch}.json"


def command(net: str, chips: int, batch: int) -> str:
    flags = f"{NETS[net]} --config.batch_size={batch}"
    return f"python run.py --dry_run {SLICES[chips]} {flags}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="Print the tables; compile nothing")
    parser.add_argument("--jobs", type=int, default=1, help="Compilers at a time; each takes 3 GB")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=NETS)
    flags = parser.parse_args()
    chosen = [row for row in rows() if row[0] in flags.nets]
    if flags.table:
        print("\n\n".join(table(net) for net in flags.nets))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    commands = {
        RESULTS / f"{name}.json": f"python run.py --dry_run --topology=v5e:2x2 --config={name}"
        for name in RECIPES
    }
    commands |= {result(*row): command(*row) for row in chosen}
    with ThreadPoolExecutor(flags.jobs) as pool:
        for place, shown in commands.items():
            if not place.exists():
                pool.submit(compile_row, shown, place)


def compile_row(shown: str, place: Path) -> None:
    words = [sys.executable, *shlex.split(shown)[1:], f"--output={place}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    last = (done.stdout + done.stderr).strip().splitlines()[-1:]
    print(shown, *last, sep="\n    ", flush=True)
    if place.exists():
        content = {"command": shown, **json.loads(place.read_text())}
    elif done.returncode == 1 and last:  # as where a chip's memory is too small
        content = {"command": shown, "error": last[0].removeprefix("error: ")}
    else:
        return
    place.write_text(json.dumps(content, indent=1) + "\n")


def table(net: str) -> str:
    """The rows of a net that were compiled, in Markdown."""
    lines = [
        f"`{NETS[net]} --config.batch_size=BATCH`",
        "",
        "| chips | images a chip | memory a chip, GiB | compute, ms | memory, ms | network, ms "
        "| images/s, at most | efficiency |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, batches in (
        ("weak", lambda chips: A_CHIP * chips),
        ("strong", lambda chips: WHOLE),
    ):
        lines.append(f"| **{kind}** | | | | | | | |")
        first = None
        for chips in SLICES:
            path = result(net, chips, batches(chips))
            if not path.exists():
                continue
            found = json.loads(path.read_text())
            each = f"| {chips:,} | {batches(chips) // chips:,} |"
            if "error" in found:
                lines.append(f"{each} does not fit | | | | | |")
                continue
            rate = batches(chips) / max(found["predicted_seconds"].values())
            first = first or rate / chips
            lines.append(f"{each} {_row(found, rate)} {rate / chips / first:.0%} |")
    return "\n".join(lines)


def _row(found: dict[str, Any], rate: float) -> str:
    times = found["predicted_seconds"]
    shown = " | ".join(
        f"**{1e3 * time:.3g}**" if name == found["binds"] else f"{1e3 * time:.3g}"
        for name, time in times.items()
    )
    return f"{found['memory'] / 2**30:.2f} | {shown} | {rate:,.0f} |"


if __name__ == "__main__":
    main()

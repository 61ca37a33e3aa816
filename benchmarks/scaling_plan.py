"""Predicts how three nets scale over TPU v5e chips, by compiling each step for slices of them.

    python benchmarks/scaling_plan.py    # hours; goes on where it stopped
    python -m cnn_jax.docs_tables        # the tables of docs/scaling.md

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
    parser.add_argument("--jobs", type=int, default=1, help="Compilers at a time; each takes 3 GB")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=NETS)
    flags = parser.parse_args()
    chosen = [row for row in rows() if row[0] in flags.nets]
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


if __name__ == "__main__":
    main()

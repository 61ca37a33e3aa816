"""The common tricks, each alone on one small net: `python benchmarks/tricks.py`.

Trains recipe cifar10_resnet8 as it stands, and again with each trick, over three seeds: the same
data, epochs and schedule. Writes results/tricks.json, which docs/tricks.md shows. Launched anew it
goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RECIPE = "cifar10_resnet8"
SEEDS = (0, 1, 2)
# Each as a flag of run.py, with what was published for CIFAR-10, but for Muon's rates, and for the
# moving average's memory, which must fit a short run.
TRICKS = {
    "none": "",
    "label smoothing": "--config.loss=Softmax(label_smoothing=0.1)",
    "cutout": "--config.augment=(RandomCrop(4), Flip(), Cutout(16))",
    "mixup": "--config.augment=(RandomCrop(4), Flip(), Mixup(1.0))",
    "EMA": "--config.ema=0.99",
    "SAM": "--config.gradient=SAM(rho=0.05)",
    "Muon": (
        "--config.optimizer=Muon(peak_lr=0.1, bias_lr=0.4, head_lr=0.4, sgd_per_batch=256, "
        "weight_decay=8e-7)"
    ),
}
SHARED = ("recipe", "dataset", "epochs", "precision", "device", "software")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workdir", type=Path, default=Path("runs/tricks"))
    workdir = parser.parse_args().workdir
    rows, first = [], {}
    for name, flag in TRICKS.items():
        folder = workdir / name.replace(" ", "_")
        runs = _train(flag, folder)
        rows.append({"trick": name, "flag": flag, **_row(runs)})
        launched = _json(_folders(folder)[0] / "manifest.json")["launches"][0]
        first = first or runs[0] | launched["git"]
    result = {key: first[key] for key in (*SHARED, "commit", "dirty")}
    result |= {"command": "python benchmarks/tricks.py", "seeds": SEEDS, "tricks": rows}
    path = ROOT / "results" / "tricks.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"recorded in {path}")
    return 0


def _train(flag: str, folder: Path) -> list[dict[str, Any]]:
    """Trains the recipe with a flag over the seeds: a summary for each."""
    sweep = f"--sweep=seed={','.join(map(str, SEEDS))}"
    command = [sys.executable, str(ROOT / "run.py"), f"--config={RECIPE}", "--mode=sweep", sweep]
    command += [f"--workdir={folder}", *([flag] if flag else [])]
    subprocess.run(command, check=True)
    return [_json(run / "summary.json") for run in _folders(folder)]


def _folders(folder: Path) -> list[Path]:
    """The folders of the runs, in the order of the seeds."""
    runs = _json(folder / "sweep.json")["runs"]
    found = {row["values"]["seed"]: folder / row["folder"] for row in runs}
    return [found[str(seed)] for seed in SEEDS]


def _row(runs: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [run["test_accuracy"] for run in runs]
    return {
        "n": len(runs),
        "test_accuracies": accuracies,
        "test_accuracy_mean": statistics.mean(accuracies),
        "test_accuracy_sd": statistics.stdev(accuracies),
        "validation_accuracy_mean": statistics.mean(run["validation_accuracy"] for run in runs),
    }


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


if __name__ == "__main__":
    sys.exit(main())

"""The common tricks, each alone on one small net: `python benchmarks/tricks.py`.

Trains recipe cifar10_resnet8 as it stands, and again with each trick, with the same seeds, and
compares each with the recipe. Writes results/tricks.json and docs/tricks.png, which docs/tricks.md
shows. Launched anew it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cnn_jax.comparison import inference
from cnn_jax.comparison.compare import compare
from cnn_jax.comparison.samples import Sample, samples
from cnn_jax.report import comparison_figure

ROOT = Path(__file__).resolve().parents[1]
RECIPE = "cifar10_resnet8"
# Fixed before the runs, by `inference.runs_needed`: at the spread of earlier runs (a standard
# deviation of 0.93 points, pooled over the tricks; seeds shared but taken as independent) so many
# pairs show a difference of two points with 80 %.
SEEDS = 6
MARGIN = 0.5
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
    groups = [_train(name, flag, workdir / name.replace(" ", "_")) for name, flag in TRICKS.items()]
    compared = [None, *compare(groups, MARGIN)]
    rows = [
        _row(group, flag) | {"compared": one and dataclasses.asdict(one)}
        for group, flag, one in zip(groups, TRICKS.values(), compared, strict=True)
    ]
    first = groups[0].folders[0]
    facts = _json(first / "summary.json") | _json(first / "manifest.json")["launches"][0]["git"]
    result = {key: facts[key] for key in (*SHARED, "commit", "dirty")}
    result |= {"command": "python benchmarks/tricks.py", "margin": MARGIN, "tricks": rows}
    path = ROOT / "results" / "tricks.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    drawn = [comparison_figure.Row(*_drawn(group)) for group in groups]
    comparison_figure.draw(drawn, ROOT / "docs" / "tricks.png")
    print(f"recorded in {path}")
    return 0


def _train(name: str, flag: str, folder: Path) -> Sample:
    """Trains the recipe with a flag over the seeds."""
    command = [sys.executable, str(ROOT / "run.py"), f"--config={RECIPE}", "--mode=sweep"]
    command += [f"--seeds={SEEDS}", f"--workdir={folder}", *([flag] if flag else [])]
    subprocess.run(command, check=True)
    (group,) = samples(folder)
    return dataclasses.replace(group, name=name)


def _row(group: Sample, flag: str) -> dict[str, Any]:
    summaries = [_json(folder / "summary.json") for folder in group.folders]
    return {
        "trick": group.name,
        "flag": flag,
        "seeds": group.seeds,
        "test_accuracies": [summary["test_accuracy"] for summary in summaries],
        "validation_accuracies": [summary["validation_accuracy"] for summary in summaries],
        "seconds": sum(summary["train_seconds"] for summary in summaries),
        "percent": dataclasses.asdict(inference.mean(group.accuracies)),
    }


def _drawn(group: Sample) -> tuple[str, tuple[float, ...], float, tuple[float, float]]:
    found = inference.mean(group.accuracies)
    return group.name, group.accuracies, found.mean, (found.low, found.high)


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


if __name__ == "__main__":
    sys.exit(main())

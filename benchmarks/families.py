"""The step of each net beside the same net with JAX's own convolutions.

    python benchmarks/families.py                            the smallest of each family, the narrow
    python benchmarks/families.py --larger --batch_size=16   the others
    python benchmarks/families.py --models ResNet20 VGG16    some, only printed

Both are compiled in one process and take turns, so that what slows the machine down cancels. The
first two write results/benchmarks/families-pyVERSION.json and families-larger-pyVERSION.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pairs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnn_jax.runtime import malloc

if __name__ == "__main__":
    malloc.tune(sys.argv)

from cnn_jax import models
from cnn_jax.benchmark.timed_step import Training
from cnn_jax.data import Dataset, Shapes
from cnn_jax.experiment import DataFacts, Experiment, Plan
from cnn_jax.runtime import hardware
from cnn_jax.runtime.timing import measure
from cnn_jax.training.state import first_state

# Steps in a turn, at least. One that is among the first after the other program's may take twice as
# long, while its memory is given anew by the system; the median of three leaves it out.
LEAST = 3
RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"
SMALL = (
    "MLP",
    "LeNet",
    "AlexNet",
    "ZFNet",
    "NIN",
    "AllCNN",
    "VGG11",
    "GoogLeNet",
    "ConvNet",
    "QuickNet",
    "Airbench93",
    "Airbench94",
    "ResNet20",
    "ResNet32",
    "ResNet44",
    "ResNet56",
    "ResNet110",
    "ResNet18",
    "ResNet50",
    "PreActResNet18",
    "PreActResNet164",
    "WRN16_4",
    "DenseNetBC40_12",
    "ResNeXt29_2x64d",
    "SEResNet18",
    "PyramidNet110_a84",
    "ShakeShake26_2x32d",
    "MobileNet",
    "MobileNetV2",
    "ConvMixer256_8",
    "ConvNeXtAtto",
)
LARGER = (
    "VGG13",
    "VGG16",
    "VGG19",
    "ResNet34",
    "WRN40_4",
    "WRN16_8",
    "DenseNetBC100_12",
    "DenseNet121",
    "ConvNeXtTiny",
    "Airbench96",
    "PreActResNet50",
    "ResNet101",
    "ResNet152",
    "WRN28_10",
    "ShakeShake26_2x96d",
    "ResNeXt29_8x64d",
    "PyramidNet272_a200",
    "DenseNetBC190_40",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--larger", action="store_true", help="the larger nets of each family")
    chosen.add_argument("--models", nargs="+", default=(), help="these; nothing is written")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5, help="turns that each of both takes")
    parser.add_argument("--seconds", type=float, default=1.0, help="of steps in a turn, about")
    flags = parser.parse_args()
    data = Shapes().load(None)
    result = {
        "command": shlex.join(["python", "benchmarks/families.py", *sys.argv[1:]]),
        "batch_size": flags.batch_size,
        "pairs": flags.pairs,
        "device": hardware.device_name(),
        "software": hardware.software(),
        "git": hardware.git(),
        "models": {},
    }
    version = platform.python_version().rpartition(".")[0]
    path = RESULTS / f"families{'-larger' if flags.larger else ''}-py{version}.json"
    for name in flags.models or (LARGER if flags.larger else SMALL):
        result["models"][name] = row = _beside_stock(name, data, flags)
        print(f"{name:20} {pairs.in_words(row['speedup'])} times stock's speed", flush=True)
        if not flags.models:
            path.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def _beside_stock(name: str, data: Dataset, flags: argparse.Namespace) -> dict[str, Any]:
    """The steps of both in turns: milliseconds, and how many times faster ours is."""
    experiment = Experiment(
        data=Shapes(), model=getattr(models, name)(), batch_size=flags.batch_size
    )
    takes = [
        _steps(dataclasses.replace(experiment, convolutions=kind), data)
        for kind in ("fast", "stock")
    ]

    def milliseconds(take: Callable[[], Any]) -> float:
        return 1e3 * measure(take, flags.seconds, least=LEAST).p50

    turns = [[milliseconds(take) for take in takes] for _ in range(flags.pairs)]
    ours, stock = zip(*turns, strict=True)
    return {
        "fast_ms": pairs.spread(ours),
        "stock_ms": pairs.spread(stock),
        "speedup": pairs.ratios(stock, ours),
    }


def _steps(experiment: Experiment, data: Dataset) -> Callable[[], Any]:
    """A function that takes the next step of the experiment, compiled."""
    plan = Plan.of(experiment, DataFacts.of(data))
    training = Training(plan, data.train, first_state(plan, data.train.images))
    return training.steps(training.compile())


if __name__ == "__main__":
    sys.exit(main())

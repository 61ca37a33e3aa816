"""Streams random-resized crops of a folder of photos beside torch.utils.data, on the same cores.

    python benchmarks/read_pictures.py make /tmp/photos --height=375 --width=500
    python benchmarks/stream_pictures.py /tmp/photos --torch_python=TORCH_VENV/bin/python

Both sides draw RandomResizedCrop(224) of random pictures and give batches of 128 as bytes, which
are dropped: ours by `Folder(stream=True)` and its worker processes, torchvision's by ImageFolder,
RandomResizedCrop and PILToTensor in as many workers. The sides take turns, each in a process of its
own; counting starts with the second batch of the slowest worker, when all workers run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

# From a checkout it goes uninstalled too, as run.py does.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pairs

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"
BATCH, SIZE = 128, 224


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", choices=("ours", "torchvision"), help="Measures one side")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, default=40, help="Batches that are timed")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--torch_python", default=os.environ.get("CNN_JAX_TORCH_PYTHON"))
    flags = parser.parse_args()
    if flags.side:
        batches = {"ours": ours, "torchvision": torchvision}[flags.side](flags)
        print(json.dumps(rate(batches, flags)))
    else:
        compare(flags)


def rate(batches, flags: argparse.Namespace) -> float:
    """Images per second of the timed batches."""
    for _ in range(2 * flags.workers[0]):
        next(batches)
    begun = time.perf_counter()
    for _ in range(flags.batches):
        assert len(next(batches)) == BATCH
    return flags.batches * BATCH / (time.perf_counter() - begun)


def ours(flags: argparse.Namespace):
    from cnn_jax.data import Folder, RandomResizedCrop
    from cnn_jax.experiment import DataFacts, Experiment, Plan
    from cnn_jax.models import MLP
    from cnn_jax.runtime.parallel import parallel
    from cnn_jax.training import stream
    from cnn_jax.training.feed import step_images

    data = Folder(str(flags.folder), size=SIZE, stream=True, crop=RandomResizedCrop())
    loaded = data.load()
    plan = Plan.of(
        Experiment(data=data, model=MLP(), batch_size=BATCH, epochs=100), DataFacts.of(loaded)
    )
    source = step_images(plan, loaded.train.images, loaded.train.labels, parallel("jit", BATCH))
    with stream.workers(flags.workers[0]), stream.opened(source, 0) as steps:
        for images, _ in steps:
            yield images


def torchvision(flags: argparse.Namespace):
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose([v2.RandomResizedCrop(SIZE), v2.PILToTensor()])
    images = torch.utils.data.DataLoader(
        ImageFolder(flags.folder, transform),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=flags.workers[0],
        persistent_workers=True,
    )
    while True:
        for batch, _ in images:
            yield batch


def compare(flags: argparse.Namespace) -> None:
    pythons = {"ours": sys.executable, "torchvision": flags.torch_python}
    rows = []
    for workers in flags.workers:
        rates: dict[str, list[float]] = {side: [] for side in pythons}
        for _ in range(flags.turns):
            for side, python in pythons.items():
                arguments = [f"--side={side}", f"--workers={workers}", f"--batches={flags.batches}"]
                done = subprocess.run(
                    [python, __file__, str(flags.folder), *arguments],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                rates[side].append(json.loads(done.stdout.splitlines()[-1]))
        ratio = pairs.ratios(rates["ours"], rates["torchvision"])
        rows.append({"workers": workers, "ratio": ratio, "images_per_second": rates})
        shown = ", ".join(
            f"{side} {pairs.in_words(pairs.spread(speeds), 0)}" for side, speeds in rates.items()
        )
        print(f"{workers} workers: images/s {shown}; ratio {pairs.in_words(ratio)}", flush=True)
    from cnn_jax.runtime import hardware, host

    record = {
        "command": "python benchmarks/stream_pictures.py /tmp/photos",
        "batch_size": BATCH,
        "size": SIZE,
        "processor": host.processor(),
        "cores": host.cores(),
        "python": platform.python_version(),
        "git": hardware.git(),
        "date": time.strftime("%Y-%m-%d"),
        "rows": rows,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "stream_pictures.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

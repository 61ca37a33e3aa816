"""Streams random-resized crops of a folder of photos beside torch.utils.data, on the same cores.

    python benchmarks/read_pictures.py make /tmp/photos --height=375 --width=500
    python benchmarks/stream_pictures.py /tmp/photos --torch_python=TORCH_VENV/bin/python

    python benchmarks/stream_pictures.py /tmp/photos --side=memory --workers=2

Both sides draw RandomResizedCrop(224) of random pictures and give batches of 128 as bytes, which
are dropped: ours by `Folder(stream=True)` and its worker processes, torchvision's by ImageFolder,
RandomResizedCrop and PILToTensor in as many workers. The sides take turns, each in a process of its
own; counting starts with the second batch of the slowest worker, when all workers run. The last
command prints the memory of our process and its workers at the end of each of ten epochs; memory
that several of them share counts once.
"""

from __future__ import annotations

import argparse
import contextlib
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
BATCH, SIZE, EPOCHS = 128, 224, 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--side", choices=("ours", "torchvision", "memory"), help="Measures one side"
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, default=40, help="Batches that are timed")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--torch_python", default=os.environ.get("CNN_JAX_TORCH_PYTHON"))
    flags = parser.parse_args()
    if flags.side == "memory":
        memory(flags)
    elif flags.side:
        with contextlib.closing({"ours": ours, "torchvision": torchvision}[flags.side](flags)) as b:
            print(json.dumps(rate(b, flags)))
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


def memory(flags: argparse.Namespace) -> None:
    """Prints the proportional set size at the end of each epoch."""
    import psutil

    per_epoch = sum(1 for _ in flags.folder.rglob("*.jpg")) * 72 // 100 // BATCH
    parent = psutil.Process()
    with contextlib.closing(ours(flags)) as batches:
        for epoch in range(1, EPOCHS + 1):
            for _ in range(per_epoch):
                next(batches)
            these = (parent, *parent.children(recursive=True))
            used = sum(one.memory_full_info().pss for one in these)
            print(f"epoch {epoch}: {used / 2**20:,.0f} MiB in {len(these)} processes", flush=True)


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

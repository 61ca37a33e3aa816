"""The recipe airbench94 in PyTorch on a CPU, to be run beside ours; the last line is JSON.

    PYTHONPATH=. python benchmarks/torch_train.py --arrays=FOLDER --dtype=bfloat16

FOLDER holds CIFAR-10 as {train,test}_images.npy u8[N,32,32,3] and {train,test}_labels.npy i32[N]:
the folder `arrays` that a first `python run.py` leaves (see benchmarks/README.md).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch_nets import Airbench94, halve
from torch_optimizer import Optimizer

from cnn_jax.runtime import host

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
PADDING = 2
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Split(NamedTuple):
    """Images u8[N,32,32,3] and labels i64[N]."""

    images: torch.Tensor
    labels: torch.Tensor


def main() -> None:
    begun = time.perf_counter()
    flags = _flags()
    threads = host.cores()
    torch.set_num_threads(threads)
    torch.manual_seed(flags.seed)
    train = _load(flags.arrays, "train", flags.train)
    test = _load(flags.arrays, "test", flags.test)
    net, losses, seconds = fit(train, flags)
    accuracies = evaluate(net, test, flags)
    row = {
        "net": "airbench94",
        "epochs": flags.epochs,
        "batch_size": flags.batch_size,
        "dtype": flags.dtype,
        "layout": flags.layout,
        "seed": flags.seed,
        "train": len(train.labels),
        "last_train_loss": losses[-1],
        "test_accuracy": accuracies["plain"],
        "test_accuracy_mirrored": accuracies["mirrored"],
        "test_accuracy_all_views": accuracies["all_views"],
        "train_seconds": seconds,
        "process_seconds": time.perf_counter() - begun,
        "peak_rss_bytes": host.peak_resident_bytes(),
        "threads": threads,
        "processor": host.processor(),
        "torch": torch.__version__,
    }
    print(json.dumps(row), flush=True)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arrays", type=Path, required=True, help="Folder of the .npy files")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--layout", choices=LAYOUTS, default="channels_last")
    parser.add_argument("--batch_size", type=int, default=2000)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--muon_lr", type=float, default=0.24, help="As published, for batch 2000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, help="Only the first so many training images")
    parser.add_argument("--test", type=int, help="Only the first so many test images")
    parser.add_argument("--eval_batch", type=int, default=1000)
    return parser.parse_args()


def fit(train: Split, flags: argparse.Namespace) -> tuple[Airbench94, list[float], float]:
    """Trains. Returns the net, each epoch's mean loss, and the seconds it took in all."""
    begun = time.perf_counter()
    net = Airbench94().train()
    net.whiten(_normalised(train.images[:5000]))
    if flags.dtype == "bfloat16":
        halve(net)
    net.to(memory_format=LAYOUTS[flags.layout])
    per_epoch = len(train.labels) // flags.batch_size
    total = round(flags.epochs * per_epoch)
    optimizer = Optimizer(net, total, flags.batch_size, flags.muon_lr)
    padded = _reflected(train.images, PADDING)
    mirrored = torch.rand(len(train.labels)) < 0.5
    losses, summed = [], 0.0
    for step in range(total):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order, summed = torch.randperm(len(train.labels)), 0.0
        index = order[place * flags.batch_size :][: flags.batch_size]
        images = _as_input(crop(padded, index, mirrored[index] ^ (epoch % 2 == 1)), flags)
        loss = F.cross_entropy(
            net(images).float(), train.labels[index], label_smoothing=0.2, reduction="sum"
        )
        loss.backward()
        optimizer.step()
        summed += loss.item()
        if place == per_epoch - 1 or step == total - 1:
            losses.append(summed / ((place + 1) * flags.batch_size))
            seconds = time.perf_counter() - begun
            print(f"epoch {epoch + 1}  loss {losses[-1]:.3f}  {seconds:,.0f} s", flush=True)
    return net, losses, time.perf_counter() - begun


def crop(padded, index, mirrored):
    """The images at `index`, each cut out at a random place, mirrored where that is true.

    u8[N,36,36,3], i64[B], bool[B] -> u8[B,32,32,3].
    """
    size = padded.shape[1] - 2 * PADDING
    top, left = torch.randint(0, 2 * PADDING + 1, (2, len(index), 1))
    across = torch.arange(size)
    rows = top + across
    columns = left + torch.where(mirrored[:, None], across.flip(0), across)
    return padded[index[:, None, None], rows[:, :, None], columns[:, None, :]]


@torch.no_grad()
def evaluate(net: Airbench94, test: Split, flags: argparse.Namespace) -> dict[str, float]:
    """Test accuracy on the images as they are, averaged with their mirrors, and with shifts too."""
    net.eval()
    right = dict.fromkeys(("plain", "mirrored", "all_views"), 0)
    for start in range(0, len(test.labels), flags.eval_batch):
        images = test.images[start : start + flags.eval_batch]
        labels = test.labels[start : start + flags.eval_batch]

        def scores(images):
            return net(_as_input(images, flags)).float()

        def both(images):
            return (scores(images) + scores(images.flip(2))) / 2

        size, wider = images.shape[1], _reflected(images, 1)
        plain = scores(images)
        mirrored = (plain + scores(images.flip(2))) / 2
        shifted = both(wider[:, :size, :size]) + both(wider[:, -size:, -size:])
        views = {"plain": plain, "mirrored": mirrored, "all_views": mirrored / 2 + shifted / 4}
        for name, logits in views.items():
            right[name] += int((logits.argmax(1) == labels).sum())
    return {name: count / len(test.labels) for name, count in right.items()}


def _load(folder: Path, split: str, first: int | None) -> Split:
    images = np.load(folder / f"{split}_images.npy")[:first]
    labels = np.load(folder / f"{split}_labels.npy")[:first]
    return Split(torch.from_numpy(images), torch.from_numpy(labels).long())


def _reflected(images, padding: int):
    """The images with a border of their own reflection: u8[N,H,W,C] -> u8[N,H+2p,W+2p,C]."""
    border = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return torch.from_numpy(np.pad(images.numpy(), border, mode="reflect"))


def _normalised(images):
    """u8[N,H,W,3] -> f32[N,3,H,W]; in memory the channels stay last."""
    return ((images / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


def _as_input(images, flags: argparse.Namespace):
    return _normalised(images).to(DTYPES[flags.dtype], memory_format=LAYOUTS[flags.layout])


if __name__ == "__main__":
    main()

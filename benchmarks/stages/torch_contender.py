"""PyTorch's step of a net in stage 3, in a process of its own: see turns.py. Needs torch only.

bfloat16 autocast and channels_last, the usual fast setting on NVIDIA's cards; "compiled" is
`torch.compile(mode="max-autotune-no-cudagraphs")` of the net with its loss. The step starts with a
normalised batch on the device: shuffling, cropping and flipping are left out, in PyTorch's favour.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from torch_families import NETS
from torch_nets import parameters
from torch_optimizer import Optimizer

from stages.turns import serve

CALLS = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("net", choices=NETS)
    parser.add_argument("kind", choices=("eager", "compiled"))
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="Of a turn")
    parser.add_argument("--tiny", action="store_true", help="A net of two layers: a rehearsal")
    flags = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    begun = time.perf_counter()
    net = _tiny() if flags.tiny else NETS[flags.net]()
    images = torch.randn(flags.batch_size, 3, 32, 32)
    if hasattr(net, "whiten"):
        net.whiten(images)
    net = net.to(device, memory_format=torch.channels_last).train()
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(flags.batch_size, device=device) % 10

    def loss_of(images, labels):
        return F.cross_entropy(net(images).float(), labels, label_smoothing=0.1)

    if flags.kind == "compiled":
        loss_of = torch.compile(loss_of, mode="max-autotune-no-cudagraphs")
    take = _optimizer(net, flags)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16):
            loss = loss_of(images, labels)
        loss.backward()
        take()

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def seconds_per_step() -> float:
        samples, end = [], time.perf_counter() + flags.seconds
        while not samples or time.perf_counter() < end:
            started = time.perf_counter()
            for _ in range(CALLS):
                step()
            wait()
            samples.append((time.perf_counter() - started) / CALLS)
        return statistics.median(samples)

    for _ in range(3):
        step()
    wait()
    ready = time.perf_counter() - begun
    facts = {
        "precision": "bfloat16 autocast, channels_last",
        "seconds_to_ready": ready,
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None,
        "parameters": parameters(net),
        "torch": torch.__version__,
    }
    serve(facts, seconds_per_step)


def _optimizer(net: torch.nn.Module, flags: argparse.Namespace):
    """One step of the optimiser that the recipe's net is trained with: Muon, or SGD."""
    if hasattr(net, "whiten"):
        compiled = flags.kind == "compiled"
        steps = 8 * 50_000 // flags.batch_size
        return Optimizer(net, steps, flags.batch_size, compiled=compiled).step
    sgd = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, fused=True)

    def take() -> None:
        sgd.step()
        sgd.zero_grad(set_to_none=True)

    return take


def _tiny() -> torch.nn.Module:
    conv = torch.nn.Conv2d(3, 4, 3, stride=2)
    return torch.nn.Sequential(conv, torch.nn.Flatten(), torch.nn.Linear(4 * 15 * 15, 10))


if __name__ == "__main__":
    main()

"""Times PyTorch's training step of a net, in this process; the last line it prints is JSON.

It needs torch and numpy only. The step begins with a normalised batch: shuffling, cropping and
flipping are left out of PyTorch's time, in PyTorch's favour.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable

import measure
import numpy as np
import torch
import torch.nn.functional as F
from torch_families import densenet121, mobilenetv2, resnet50, wrn16_4
from torch_more_families import (
    googlenet,
    mobilenet,
    preact_resnet18,
    resnext29_2x64d,
    se_resnet18,
    vgg16,
)
from torch_nets import Airbench94, ResNet18, halve
from torch_optimizer import Optimizer

from cnn_jax.runtime import host

NETS = {
    "airbench94": Airbench94,
    "resnet18": ResNet18,
    "resnet50": resnet50,
    "preact_resnet18": preact_resnet18,
    "vgg16": vgg16,
    "googlenet": googlenet,
    "mobilenet": mobilenet,
    "mobilenetv2": mobilenetv2,
    "se_resnet18": se_resnet18,
    "resnext29_2x64d": resnext29_2x64d,
    "densenet121": densenet121,
    "wrn16_4": wrn16_4,
}
MODES = ("eager-float32", "compile-float32", "autocast-bfloat16", "bfloat16")
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--net", choices=NETS, default="airbench94")
    parser.add_argument("--mode", choices=MODES, default=MODES[0])
    parser.add_argument("--layout", choices=LAYOUTS, default="contiguous")
    parser.add_argument("--batch_size", type=int, default=500)
    parser.add_argument("--warm_up", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    flags = parser.parse_args()
    threads = host.cores()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    step = training_step(flags.net, flags.mode, flags.layout, flags.batch_size)
    seconds = measure.time_steps(step, flags.warm_up, flags.steps)
    measure.report(
        seconds,
        flags.batch_size,
        mode=flags.mode,
        layout=flags.layout,
        threads=threads,
        versions={"torch": torch.__version__, "numpy": np.__version__},
    )


def training_step(net_name: str, mode: str, layout: str, batch_size: int) -> Callable[[], None]:
    """A function that takes one step: forward, backward and the optimiser."""
    memory_format = LAYOUTS[layout]
    # A training set's worth of pictures stays in memory, as it does in the JAX process.
    pictures = np.random.default_rng(0).integers(0, 256, (50_000, 32, 32, 3), np.uint8)
    images = torch.from_numpy(pictures[:batch_size]).permute(0, 3, 1, 2) / 127.5 - 1
    labels = torch.arange(batch_size) % 10
    net = NETS[net_name]().train()
    if isinstance(net, Airbench94):
        net.whiten(images)
    if mode == "bfloat16":
        halve(net)
        images = images.bfloat16()
    net.to(memory_format=memory_format)
    images = images.contiguous(memory_format=memory_format)
    compiled = mode == "compile-float32"
    take = _optimizer(net, batch_size, compiled)
    smoothing, reduction = (0.2, "sum") if net_name == "airbench94" else (0.0, "mean")

    def loss_of(images, labels):
        logits = net(images).float()
        return F.cross_entropy(logits, labels, reduction=reduction, label_smoothing=smoothing)

    if compiled:
        loss_of = torch.compile(loss_of)
    autocast = mode == "autocast-bfloat16"

    def step() -> None:
        assert pictures.size
        with torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext():
            loss = loss_of(images, labels)
        loss.backward()
        take()

    return step


def _optimizer(net, batch_size: int, compiled: bool) -> Callable[[], None]:
    if isinstance(net, Airbench94):
        return Optimizer(net, 8 * 50_000 // batch_size, batch_size, compiled=compiled).step
    sgd = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, fused=True)

    def take() -> None:
        sgd.step()
        sgd.zero_grad(set_to_none=True)

    return take


if __name__ == "__main__":
    main()

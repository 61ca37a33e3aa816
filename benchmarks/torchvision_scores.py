"""Loads the weights of torchvision's nets and compares the logits of both frameworks.

    python benchmarks/torchvision_scores.py [--sides 224 160] [--nets resnet50 vgg16]

Every tensor of a state dict is drawn anew, running statistics too. PyTorch runs in a process of its
own, by `$CNN_JAX_TORCH_PYTHON`. The exit status is 1 if logits of a net differ by more than 1e-4 of
their standard deviation.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# From a checkout it goes uninstalled too, as run.py does.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np

from cnn_jax import models
from cnn_jax.transfer.torch_weights import from_torch

NETS = {
    "alexnet": models.AlexNet2014(),
    "vgg16": models.ImageNetVGG16(),
    "googlenet": models.ImageNetGoogLeNet(),
    "resnet18": models.ResNet18(stem="imagenet"),
    "resnet50": models.ResNet50(stem="imagenet"),
    "mobilenet_v2": models.ImageNetMobileNetV2(),
}
MOST = 1e-4  # of the logits' standard deviation


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", nargs="+", type=int, default=[224, 160])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    flags = parser.parse_args()
    print(f"{'net':<13} {'image':>7} {'std of logits':>14} {'largest difference':>19} {'ratio':>8}")
    apart = []
    for net in flags.nets:
        for side in flags.sides:
            spread, difference = _compared(net, side)
            ratio = difference / spread
            image = f"{side}x{side}"
            print(
                f"{net:<13} {image:>7} {spread:14.4g} {difference:19.2e} {ratio:8.1e}", flush=True
            )
            if not ratio <= MOST:
                apart.append(f"{net} at {image}")
    if apart:
        print(f"apart by more than {MOST} of a deviation: {', '.join(apart)}", file=sys.stderr)
    return len(apart) > 0


def _compared(net: str, side: int) -> tuple[float, float]:
    """The standard deviation of torchvision's logits, and the largest difference from them."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/{net}.npz"
        reference = str(Path(__file__).with_name("torchvision_reference.py"))
        arguments = [f"--net={net}", f"--side={side}", f"--out={path}"]
        subprocess.run([os.environ["CNN_JAX_TORCH_PYTHON"], reference, *arguments], check=True)
        with np.load(path) as file:
            arrays = dict(file)
    images, theirs = arrays.pop("images"), arrays.pop("logits")
    state = {key.removeprefix("state/"): array for key, array in arrays.items()}
    model = NETS[net].clone(num_classes=theirs.shape[1])
    variables = from_torch(state, model, images.shape[1:])
    ours = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    return float(theirs.std()), float(abs(np.asarray(ours) - theirs).max())


if __name__ == "__main__":
    sys.exit(main())

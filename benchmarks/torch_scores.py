"""Carries weights over from PyTorch nets and compares the scores that both give the same images.

    python benchmarks/torch_scores.py --checkout=FOLDER

FOLDER is a checkout of github.com/kuangliu/pytorch-cifar; PyTorch runs in a process of its own, by
`$CNN_JAX_TORCH_PYTHON`.
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

import numpy as np

from cnn_jax import models
from cnn_jax.transfer.torch_weights import from_torch

NETS = {
    "LeNet": "LeNet()",
    "VGG11": "VGG('VGG11')",
    "VGG16": "VGG('VGG16')",
    "GoogLeNet": "GoogLeNet()",
    "ResNet18": "ResNet18()",
    "ResNet50": "ResNet50()",
    "PreActResNet18": "PreActResNet18()",
    "PreActResNet50": "PreActResNet50()",
    "ResNeXt29_2x64d": "ResNeXt29_2x64d()",
    "SEResNet18": "SENet18()",
    "MobileNet": "MobileNet()",
    "MobileNetV2": "MobileNetV2()",
}
MOST = 1e-4  # that scores may differ by


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkout", required=True)
    flags = parser.parse_args()
    reference = str(Path(__file__).with_name("torch_reference.py"))
    torch_python = os.environ["CNN_JAX_TORCH_PYTHON"]
    print(f"{'net':<18} {'largest score':>13} {'largest difference':>18}")
    apart = []
    with tempfile.TemporaryDirectory() as folder:
        for name, there in NETS.items():
            path = f"{folder}/{name}.npz"
            arguments = [f"--checkout={flags.checkout}", f"--net={there}", f"--out={path}"]
            subprocess.run([torch_python, reference, *arguments], check=True)
            with np.load(path) as file:
                arrays = dict(file)
            images, scores = arrays.pop("images"), arrays.pop("scores")
            state = {key.removeprefix("state/"): array for key, array in arrays.items()}
            model = getattr(models, name)(num_classes=scores.shape[1])
            variables = from_torch(state, model, images.shape[1:])
            difference = abs(np.asarray(model.apply(variables, images, train=False)) - scores).max()
            print(f"{name:<18} {abs(scores).max():13.3f} {difference:18.1e}", flush=True)
            if difference > MOST:
                apart.append(name)
    if apart:
        print(f"apart by more than {MOST}: {', '.join(apart)}", file=sys.stderr)
    return len(apart) > 0


if __name__ == "__main__":
    sys.exit(main())

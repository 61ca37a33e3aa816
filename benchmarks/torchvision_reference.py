"""Logits of torchvision's nets, with every tensor of their state dicts drawn anew.

    TORCH_VENV/bin/python benchmarks/torchvision_reference.py --net=resnet50 --side=224 --out=FILE
    TORCH_VENV/bin/python benchmarks/torchvision_reference.py --record \\
        > tests/transfer/torchvision_logits.json

The first command writes the state dict, images and logits of one net to an .npz file, for
torchvision_scores.py; the second writes the shapes and logits of small cases, for the tests. Needs
torch, torchvision and NumPy only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

from drawn_state import drawn_images, drawn_state

IMAGES = 2


def small_heads(net: torch.nn.Module, hidden: int) -> torch.nn.Module:
    """Narrows the two fully connected layers before the scores of AlexNet and VGG."""
    width = None
    for index, layer in enumerate(net.classifier):
        if isinstance(layer, torch.nn.Linear):
            last = index == len(net.classifier) - 1
            before, after = width or layer.in_features, layer.out_features if last else hidden
            net.classifier[index] = torch.nn.Linear(before, after)
            width = hidden
    return net


def build(name: str, classes: int = 1000, **fields) -> torch.nn.Module:
    """A net of torchvision, for evaluation."""
    if name == "googlenet":
        fields = {"aux_logits": False, "init_weights": False, **fields}
    return getattr(torchvision.models, name)(weights=None, num_classes=classes, **fields)


# For the tests: the smallest nets of each family, at sizes that the pools don't divide.
SMALL: dict[str, tuple[Callable[[], torch.nn.Module], int]] = {
    "AlexNet2014(hidden=48)": (lambda: small_heads(build("alexnet", 5), 48), 288),
    "ImageNetVGG11(hidden=48)": (lambda: small_heads(build("vgg11", 5), 48), 80),
    "ImageNetGoogLeNet()": (lambda: build("googlenet", 5, aux_logits=True), 72),
    "ResNet18(stem='imagenet')": (lambda: build("resnet18", 5), 70),
    "ResNet50(stem='imagenet')": (lambda: build("resnet50", 5), 64),
    "ImageNetMobileNetV2(width=0.5)": (lambda: build("mobilenet_v2", 5, width_mult=0.5), 75),
}


def logits(net: torch.nn.Module, side: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The state dict drawn, the images, f32[B,H,W,C], and the logits, f32[B,K]."""
    state = drawn_state({name: tensor.shape for name, tensor in net.state_dict().items()})
    net.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    images = drawn_images(IMAGES, side, side, 3)
    with torch.no_grad():
        out = net.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return state, images, out.numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--net", help="Its name in torchvision.models")
    parser.add_argument("--side", type=int, default=224, help="Height and width of the images")
    parser.add_argument("--out", type=Path)
    flags = parser.parse_args()
    if flags.record:
        cases = []
        for model, (make, side) in SMALL.items():
            state, images, scores = logits(make(), side)
            shapes = {name: array.shape for name, array in state.items()}
            record = {"model": model, "images": images.shape, "logits": scores.tolist()}
            cases.append(record | {"shapes": shapes})
        print(json.dumps({"torchvision": torchvision.__version__, "cases": cases}))
        return
    state, images, scores = logits(build(flags.net), flags.side)
    arrays = {f"state/{name}": array for name, array in state.items()}
    np.savez(flags.out, images=images, logits=scores, **arrays)


if __name__ == "__main__":
    main()

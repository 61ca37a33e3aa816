"""A net of github.com/kuangliu/pytorch-cifar with its scores of random images, in one .npz file.

    python benchmarks/torch_reference.py --checkout=FOLDER --net=ResNet18 --out=FILE

FOLDER is a checkout of that repository. Its weights are drawn anew, the norms' too, so that none is
0 or 1 by chance. Needs torch and numpy only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

IMAGES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--net", required=True, help="Its name there, with arguments: VGG('VGG16')")
    parser.add_argument("--out", type=Path, required=True)
    flags = parser.parse_args()
    sys.path.insert(0, str(flags.checkout))
    import models  # the checkout's

    torch.manual_seed(0)
    net = eval(flags.net, vars(models)).eval()
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            for tensor in (layer.weight.data, layer.running_var):
                tensor.uniform_(0.8, 1.25)
            for tensor in (layer.bias.data, layer.running_mean):
                tensor.normal_(0, 0.1)
    images = torch.randn(IMAGES, 3, 32, 32)
    with torch.no_grad():
        scores = net(images)
    state = {f"state/{name}": array.numpy() for name, array in net.state_dict().items()}
    np.savez(flags.out, images=images.permute(0, 2, 3, 1).numpy(), scores=scores.numpy(), **state)


if __name__ == "__main__":
    main()

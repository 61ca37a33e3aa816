"""Records the distribution of torchvision's random-resized crop, for tests/data.

    TORCH_VENV/bin/python benchmarks/torch_crops.py > tests/data/torchvision_crops.json

For pictures of several sizes: quantiles of the share of the area, of width over height, and of the
place of the box in the room that it has, from 200,000 boxes each.
"""

from __future__ import annotations

import json

import numpy as np
import torch
import torchvision
from torchvision.transforms import RandomResizedCrop

SIZES = ((375, 500), (64, 64), (100, 1000), (900, 60))
SCALES = ((0.08, 1.0), (0.5, 0.9))
RATIO = (3 / 4, 4 / 3)
BOXES = 200_000
QUANTILES = tuple(np.linspace(0, 1, 21).round(2).tolist())


def main() -> None:
    torch.manual_seed(0)
    cases = []
    for height, width in SIZES:
        picture = torch.empty(1, height, width)
        for scale in SCALES:
            drawn = [RandomResizedCrop.get_params(picture, scale, RATIO) for _ in range(BOXES)]
            top, left, down, across = np.array(drawn, float).T
            measures = {
                "area": down * across / (height * width),
                "ratio": across / down,
                "top": top / np.maximum(height - down, 1),
                "left": left / np.maximum(width - across, 1),
            }
            quantiles = {
                name: np.quantile(values, QUANTILES).round(5).tolist()
                for name, values in measures.items()
            }
            cases.append({"height": height, "width": width, "scale": scale, **quantiles})
    record = {
        "torchvision": torchvision.__version__,
        "boxes": BOXES,
        "ratio": RATIO,
        "quantiles": QUANTILES,
        "cases": cases,
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()

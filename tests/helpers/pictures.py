"""Folders of small pictures, one sub-folder for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw(path: Path, seed: int, size: tuple[int, int] = (8, 8)) -> None:
    """Writes a PNG of noise, of a width and a height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)


def fill(root: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """Writes so many pictures of each class, all different; returns the folder."""
    for label, (name, count) in enumerate(counts.items()):
        for number in range(count):
            draw(root / name / f"{number}.png", 10_000 * seed + 100 * label + number)
    return root

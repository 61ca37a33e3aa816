"""Small picture folders as people have them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog")


def draw(path: Path, *, height: int = 16, width: int = 16, kind: str | None = None) -> Path:
    """Writes a picture of noise, which its name decides; without a `kind` by its extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(list(path.name.encode()))
    pixels = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, kind)
    return path


def fill(
    root: Path, classes: Iterable[str] = CLASSES, number: int = 10, extension: str = "png"
) -> Path:
    """Writes so many pictures into a sub-folder for each class."""
    for name in classes:
        for place in range(number):
            draw(root / name / f"{name}{place}.{extension}")
    return root


def other(path: Path, content: bytes = b"no picture") -> Path:
    """Writes a file that is no picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path

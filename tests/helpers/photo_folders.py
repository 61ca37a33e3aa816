"""Small picture folders as people have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog")


def draw(
    path: Path, seed: int = 0, *, height: int = 16, width: int = 16, kind: str | None = None
) -> Path:
    """Writes a picture of noise, which its name and the seed decide.

    Without a `kind`, the extension decides the format.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([seed, *path.name.encode()])
    pixels = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, kind)
    return path


def fill(
    root: Path,
    classes: Iterable[str] | Mapping[str, int] = CLASSES,
    number: int = 10,
    *,
    seed: int = 0,
) -> Path:
    """Writes so many pictures into a sub-folder for each class, all different.

    Args:
      root: The folder.
      classes: The classes, or the number of pictures of each.
      number: Number of pictures of each class, where `classes` has none.
      seed: Another seed gives other pictures of the same names.
    """
    counts = classes if isinstance(classes, Mapping) else dict.fromkeys(classes, number)
    for name, count in counts.items():
        for place in range(count):
            draw(root / name / f"{name}{place}.png", seed)
    return root


def other(path: Path, content: bytes = b"no picture") -> Path:
    """Writes a file that is no picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path

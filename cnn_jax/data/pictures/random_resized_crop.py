"""Random-resized crop: a random part of a picture, resized to the size of the net's images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cnn_jax.ranges import Checked

# Boxes that are drawn before the centre of the picture is taken.
TRIES = 10


class Box(NamedTuple):
    """A part of a picture, in pixels.

    Attributes:
      top: Rows above it.
      left: Columns to the left of it.
      height: Its height.
      width: Its width.
    """

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class RandomResizedCrop(Checked):
    """Crops a part with a random area and aspect ratio (Szegedy et al. 2014, arXiv:1409.4842).

    Published: 8 to 100 % of the area, width over height from 3/4 to 4/3. The area is uniform and
    the ratio log-uniform, as in torchvision's `RandomResizedCrop`. If ten such boxes are larger
    than the picture, its centre is taken, with the nearest aspect ratio in the range.

    Attributes:
      scale: Least and greatest share of the picture's area.
      ratio: Least and greatest width divided by height.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must be two ascending shares up to 1, got {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ValueError(f"ratio must be two ascending positive numbers, got {self.ratio}")

    def draw(self, random: np.random.Generator, height: int, width: int) -> Box:
        """Draws the part of a picture of this size in pixels."""
        ratios = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(TRIES):
            area = height * width * random.uniform(*self.scale)
            ratio = math.exp(random.uniform(*ratios))
            across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < across <= width and 0 < down <= height:
                top, left = random.integers((height - down + 1, width - across + 1)).tolist()
                return Box(top, left, down, across)
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        across = min(width, max(1, round(height * ratio)))
        down = min(height, max(1, round(width / ratio)))
        return Box((height - down) // 2, (width - across) // 2, down, across)


def check_crop(crop: RandomResizedCrop | None, stream: bool) -> None:
    """Raises ValueError if a crop is asked of pictures that are kept at the net's size."""
    if crop and not stream:
        raise ValueError(
            "crop needs stream=True, since pictures in memory have lost their full size: set it, "
            "or crop=None"
        )

"""Draws the channels of a volume side by side, as a picture in which places can be found again."""

import dataclasses
import math

import numpy as np

from cnn_jax.analysis.layer import Volume

MOST = 64  # channels in a picture
WIDTH = 960  # pixels: the widest picture of small channels
SMALLEST, LARGEST = 24, 96  # pixels of an enlarged channel's longer side
GAP = 4  # pixels between channels
BACKGROUND = 255


@dataclasses.dataclass(frozen=True)
class Slices:
    """The layout of the channels of a volume.

    Attributes:
      volume: Height, width and depth.
      most: Channels that are drawn, the first ones.
      ratio: Width of the picture for its height, if the width allows and channels are square.
    """

    volume: Volume
    most: int = MOST
    ratio: float = 2.0

    @property
    def count(self) -> int:
        """Number of channels that are drawn."""
        return min(self.volume[2], self.most)

    @property
    def zoom(self) -> int:
        """Pixels of the picture for one value, vertically and horizontally."""
        side = max(self.volume[:2])
        fits = (WIDTH // self._wanted_columns - GAP) // self.volume[1]
        return max(1, min(fits, LARGEST // side), -(-SMALLEST // side))

    @property
    def columns(self) -> int:
        """Channels in a row."""
        fit = WIDTH // (self.volume[1] * self.zoom + GAP)
        return max(1, min(self._wanted_columns, fit))

    @property
    def _wanted_columns(self) -> int:
        return min(self.count, math.ceil(math.sqrt(self.ratio * self.count)))

    def draw(self, values: np.ndarray, *, signed: bool = False) -> np.ndarray:
        """The channels in one picture u8[h,w], all on one scale, white between them.

        Args:
          values: f[H,W,C].
          signed: Whether zero is mid-grey, and the largest absolute value black or white; otherwise
            the smallest value is black and the largest white.
        """
        shown = np.moveaxis(values, -1, 0)[: self.count].astype(np.float32)
        low, high = float(shown.min()), float(shown.max())
        if signed:
            high = max(abs(low), abs(high))
            low = -high
        shown = (shown - low) / (high - low) if high > low else np.full_like(shown, 0.5 * signed)
        tall, wide = self._cell
        rows = -(-self.count // self.columns)
        picture = np.full((rows * tall, self.columns * wide), BACKGROUND, np.uint8)
        for channel, one in enumerate((255 * shown).round().astype(np.uint8)):
            top, left = self._corner(channel)
            enlarged = one.repeat(self.zoom, 0).repeat(self.zoom, 1)
            picture[top : top + tall - GAP, left : left + wide - GAP] = enlarged
        return picture[: rows * tall - GAP, : self.columns * wide - GAP]

    def position(self, x: int, y: int) -> tuple[int, int, int] | None:
        """Row, column and channel of the value at a pixel of the picture; None between channels."""
        tall, wide = self._cell
        channel = y // tall * self.columns + x // wide
        row, column = y % tall // self.zoom, x % wide // self.zoom
        inside = row < self.volume[0] and column < self.volume[1] and 0 <= channel < self.count
        return (row, column, channel) if inside else None

    def box(self, position: tuple[int, int, int]) -> tuple[int, int, int, int]:
        """Where the picture shows a value, in pixels: top, bottom, left, right."""
        row, column, channel = position
        top, left = self._corner(channel)
        top, left = top + row * self.zoom, left + column * self.zoom
        return top, top + self.zoom, left, left + self.zoom

    @property
    def _cell(self) -> tuple[int, int]:
        return self.volume[0] * self.zoom + GAP, self.volume[1] * self.zoom + GAP

    def _corner(self, channel: int) -> tuple[int, int]:
        tall, wide = self._cell
        return channel // self.columns * tall, channel % self.columns * wide

"""Draws one block in oblique projection, and its connection to the next block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnn_jax.report import colours
from cnn_jax.report.block_layout import SLANT, SLIMMEST, Block, Layout, Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = {
    "input": (colours.GREY, "image"),
    "conv": (colours.SKY, "convolution"),
    "pool": (colours.ORANGE, "pooling"),
    "fc": (colours.GREEN, "fully connected"),
    "join": (colours.PURPLE, "joined"),
}
WINDOW = colours.VERMILLION
INK = "#222222"
Point = tuple[float, float]


class Solid:
    """A block on the page, seen from the front, above and the right."""

    def __init__(self, layout: Layout, block: Block, left: float, bottom: float):
        self.block, self.left, self.bottom = block, left, bottom
        self.height, self.width, self.depth = layout.size(block)
        self.pixel, self.is_clipped = layout.pixel, layout.is_clipped(block)
        self.colour = KINDS.get(block.kind, KINDS["join"])[0]
        self.tall = self.height + self.width * SLANT[1]
        self.top = bottom + self.tall
        self.right = left + self.depth + self.width * SLANT[0]

    @classmethod
    def of(cls, layout: Layout, place: Place, bottom: float = 0.0, height: float = 0.0) -> Solid:
        """A block centred vertically in a row with this bottom and height."""
        height -= cls(layout, place.block, 0, 0).tall
        return cls(layout, place.block, place.left, bottom + height / 2)

    def at(self, height: float, width: float, depth: float) -> Point:
        """Position on the page of a point, given in inches from the near lower left corner."""
        return (
            self.left + depth + width * SLANT[0],
            self.bottom + height + width * SLANT[1],
        )

    def draw(self, axes: Axes) -> None:
        """Draws its three faces."""
        box = ((0.0, self.height), (0.0, self.width), (0.0, self.depth))
        self._box(axes, box, self.colour, shade(self.colour, -0.45))
        if self.is_clipped:
            self._break(axes)

    def _box(self, axes: Axes, box, colour: str, edge: str, line: float = 0.5) -> None:
        (low, high), (near, far), (start, end) = box
        front = [(low, near, start), (low, near, end), (high, near, end), (high, near, start)]
        above = [(high, near, start), (high, near, end), (high, far, end), (high, far, start)]
        side = [(low, near, end), (low, far, end), (high, far, end), (high, near, end)]
        for face, light in ((front, 0.45), (above, 0.75), (side, 0.1)):
            points = [self.at(*corner) for corner in face]
            fill(axes, points, shade(colour, light), edgecolor=edge, linewidth=line)

    def _break(self, axes: Axes) -> None:
        """Draws two strokes through a bar that is longer than drawn."""
        for shift in (-0.03, 0.03):
            x, y = self.left + self.depth * 0.7 + shift, self.bottom
            ends = (x - 0.02, x + 0.04), (y - 0.04, y + self.tall + 0.04)
            axes.plot(*ends, color="white", linewidth=2.2, solid_capstyle="butt")
            axes.plot(*ends, color=INK, linewidth=0.7)

    def connect(self, axes: Axes, after: Solid, at: float) -> None:
        """Draws the part of this block that one value of the next block depends on.

        That is a patch, through the whole depth for a convolution and in one channel for a pooling,
        or the whole block for full connection.

        Args:
          after: The next block.
          at: Vertical position of the patch, from 0 to 1.
        """
        window = after.block.window
        if window is None:
            low, high, far, colour = 0.0, self.height, self.width, after.colour
            target = after.at(after.height / 2, after.width / 2, 0)
        else:
            colour = WINDOW
            tall, far = (
                min(max(side * self.pixel, SLIMMEST), whole)
                for side, whole in zip(window, (self.height, self.width), strict=True)
            )
            low = (self.height - tall) * at
            high = low + tall
            start = self.depth * 0.999 if after.block.kind == "pool" else 0.0
            self._box(
                axes, ((low, high), (0, far), (start, self.depth)), colour, shade(colour, -0.2)
            )
            target = after.at(after.height * at, 0, 0)
        ends = [(low, 0.0), (low, far), (high, far), (high, 0.0)]
        corners = [self.at(h, w, self.depth) for h, w in ends]
        # The faces of the beam from the patch to the point, then its edges.
        for first, second in zip(corners, corners[1:] + corners[:1], strict=True):
            fill(axes, [first, second, target], colour, alpha=0.1, linewidth=0)
        for x, y in corners:
            axes.plot((x, target[0]), (y, target[1]), color=colour, linewidth=0.45, alpha=0.8)
        if window is not None:
            axes.plot(*target, "o", markersize=2.6, color=colour, markeredgewidth=0)


def fill(axes: Axes, points: list[Point], colour: str, **more: Any) -> None:
    """Draws a polygon."""
    from matplotlib.patches import Polygon

    axes.add_patch(Polygon(points, closed=True, facecolor=colour, joinstyle="round", **more))


def shade(colour: str, light: float) -> str:
    """Mixes a colour with white (light above 0) or black (below)."""
    from matplotlib.colors import to_hex, to_rgb

    goal = 1.0 if light > 0 else 0.0
    red, green, blue = (part + (goal - part) * abs(light) for part in to_rgb(colour))
    return to_hex((red, green, blue))

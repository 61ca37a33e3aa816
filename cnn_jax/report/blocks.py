"""The picture of a net: its volumes as a row of blocks, to scale, and what happens between them.

matplotlib's object interface only; the same net gives the same file, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_jax.report.block_layout import (
    MARGIN,
    PAGE,
    SLANT,
    THINNEST,
    TIMES,
    Block,
    Layout,
    arrange,
    blocks,
)
from cnn_jax.structure import Layer, Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL, NORMAL, LARGE = 7.0, 7.5, 9.5  # points
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": SMALL,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "volumes",
}
# Okabe and Ito's palette, told apart in every kind of colour blindness.
_KINDS = {
    "input": ("#999999", "image"),
    "conv": ("#56B4E9", "convolution"),
    "pool": ("#E69F00", "pooling"),
    "fc": ("#009E73", "fully connected"),
    "join": ("#CC79A7", "joined"),
}
_WINDOW = "#D55E00"
_INK = "#222222"
# Inches above the blocks for what happens between them, and below them for their labels.
_STEPS, _LABELS, _LEGEND, _TITLE = 0.52, 0.36, 0.82, 0.3

Point = tuple[float, float]


def draw(
    layers: Sequence[Layer],
    image_shape: Volume,
    path: str | os.PathLike[str],
    *,
    title: str = "",
) -> None:
    """Draws a net's volumes, 7 inches wide.

    Height and width share a scale, and depth has one, both the same for every block of a picture.

    Args:
      layers: `structure.layers(model, image_shape)`.
      image_shape: H, W, C of the image.
      path: A .png or .svg file; text in the latter stays text.
      title: Stands on top.
    """
    import matplotlib

    path = Path(path)
    metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        build(layers, image_shape, title).savefig(path, dpi=200, metadata=metadata)


def build(layers: Sequence[Layer], image_shape: Volume, title: str = "") -> Figure:
    """The figure of `draw`, in matplotlib's current style."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = blocks(layers, image_shape)
    layout = arrange(found, _text_width)
    heights = [
        max(layout.size(b)[0] + layout.size(b)[1] * SLANT[1] for b, _ in row)
        for row in layout.rows
    ]
    top = _TITLE if title else 0.05
    figure_height = top + sum(heights) + len(heights) * (_STEPS + _LABELS) + _LEGEND
    figure = Figure(figsize=(PAGE, figure_height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, PAGE), ylim=(0, figure_height))
    axes.set_axis_off()
    if title:
        axes.text(MARGIN, figure_height - 0.1, title, fontsize=LARGE, va="top", color=_INK)
    bottom = figure_height - top
    last: Block | None = None
    for row, height in zip(layout.rows, heights, strict=True):
        bottom -= _STEPS + height
        _row(axes, layout, row, bottom, height, last)
        last = row[-1][0]
        bottom -= _LABELS
    _legend(axes, layout, found)
    return figure


def _row(axes: Axes, layout: Layout, row, bottom: float, height: float, last) -> None:
    """One row of blocks; `last` is the block at the end of the row before."""
    solids = []
    for block, left in row:
        tall, wide, _ = layout.size(block)
        low = bottom + (height - tall - wide * SLANT[1]) / 2
        solids.append(Solid(axes, layout, block, (left, low)))
    for place, solid in enumerate(solids):
        solid.draw()
        axes.text(
            solid.middle, bottom - 0.07, solid.block.label, ha="center", va="top", color=_INK
        )
        if solid.block.count > 1:
            x, y = solid.middle, solid.top + 0.05
            mark = f"{solid.block.count}{TIMES}"
            axes.text(x, y, mark, ha="center", fontsize=NORMAL, weight="bold", color=_INK)
        if place:
            solids[place - 1].connect(solid, at=0.36 if place % 2 else 0.62)
    above = bottom + height + 0.17
    for place, solid in enumerate(solids):
        if place:
            start, end = solids[place - 1].right, solid.left
            _step(axes, solid.block, (start + end) / 2, above)
        elif last is not None:
            _step(axes, solid.block, solid.left, above)


def _step(axes: Axes, block: Block, x: float, y: float) -> None:
    """What makes a block: in words, over an arrow."""
    if not block.step:
        return
    axes.annotate(
        "",
        (x + 0.13, y),
        (x - 0.13, y),
        arrowprops={"arrowstyle": "-|>", "color": _INK, "lw": 0.7, "mutation_scale": 6},
    )
    axes.text(x, y + 0.05, block.step, ha="center", va="bottom", color=_INK, linespacing=1.05)


class Solid:
    """A block on the page, seen from the front, from above and from the right."""

    def __init__(self, axes: Axes, layout: Layout, block: Block, corner: Point):
        self.axes, self.block = axes, block
        self.height, self.width, self.depth = layout.size(block)
        self.pixel, self.is_clipped = layout.pixel, layout.is_clipped(block)
        self.left, self.bottom = corner
        self.colour = _KINDS.get(block.kind, _KINDS["join"])[0]

    def at(self, height: float, width: float, depth: float) -> Point:
        """Where a point of the block is on the page; each from 0, the near lower left, in inches."""
        return (
            self.left + depth + width * SLANT[0],
            self.bottom + height + width * SLANT[1],
        )

    @property
    def right(self) -> float:
        return self.at(0, self.width, self.depth)[0]

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    @property
    def top(self) -> float:
        return self.at(self.height, self.width, 0)[1]

    def draw(self) -> None:
        box = ((0.0, self.height), (0.0, self.width), (0.0, self.depth))
        self._box(box, self.colour, _shade(self.colour, -0.45))
        if self.is_clipped:
            self._break()

    def _box(self, box, colour: str, edge: str, line: float = 0.5) -> None:
        (low, high), (near, far), (start, end) = box
        front = [(low, near, start), (low, near, end), (high, near, end), (high, near, start)]
        above = [(high, near, start), (high, near, end), (high, far, end), (high, far, start)]
        side = [(low, near, end), (low, far, end), (high, far, end), (high, near, end)]
        for face, light in ((front, 0.45), (above, 0.75), (side, 0.1)):
            points = [self.at(*corner) for corner in face]
            _fill(self.axes, points, _shade(colour, light), edgecolor=edge, linewidth=line)

    def _break(self) -> None:
        """Two white strokes through the middle: the bar is longer than drawn."""
        for shift in (-0.03, 0.03):
            x, y = self.left + self.depth / 2 + shift, self.bottom
            tall = self.height + self.width * SLANT[1]
            ends = (x - 0.02, x + 0.04), (y - 0.04, y + tall + 0.04)
            self.axes.plot(*ends, color="white", linewidth=2.2, solid_capstyle="butt")
            self.axes.plot(*ends, color=_INK, linewidth=0.7)

    def connect(self, after: Solid, at: float) -> None:
        """Shows what one point of the next block is computed from.

        A window is a patch of this block, through its whole depth for a convolution and in one
        slice for a pooling; full connection takes the whole block.

        Args:
          after: The next block.
          at: How high the patch lies, from 0 to 1.
        """
        window = after.block.window
        if window is None:
            low, high, far, colour = 0.0, self.height, self.width, after.colour
            target = after.at(after.height / 2, after.width / 2, 0)
        else:
            colour = _WINDOW
            tall, far = (
                min(max(side * self.pixel, THINNEST), whole)
                for side, whole in zip(window, (self.height, self.width), strict=True)
            )
            low = (self.height - tall) * at
            high = low + tall
            start = self.depth * 0.999 if after.block.kind == "pool" else 0.0
            self._box(((low, high), (0, far), (start, self.depth)), colour, _shade(colour, -0.2))
            target = after.at(after.height * at, 0, 0)
        ends = [(low, 0.0), (low, far), (high, far), (high, 0.0)]
        corners = [self.at(h, w, self.depth) for h, w in ends]
        # The outline of the beam from the patch to the point, then its edges.
        for first, second in zip(corners, corners[1:] + corners[:1], strict=True):
            _fill(self.axes, [first, second, target], colour, alpha=0.1, linewidth=0)
        for x, y in corners:
            self.axes.plot((x, target[0]), (y, target[1]), color=colour, linewidth=0.45, alpha=0.8)
        if window is not None:
            self.axes.plot(*target, "o", markersize=2.6, color=colour, markeredgewidth=0)


def _legend(axes: Axes, layout: Layout, found: Sequence[Block]) -> None:
    """The colours, two bars for the scales, and what the picture shows, in words."""
    kinds = {block.kind for block in found}
    shown = [(colour, name) for kind, (colour, name) in _KINDS.items() if kind in kinds]
    if any(block.window for block in found):
        shown.append((_WINDOW, "what one neuron sees"))
    x, y = MARGIN, 0.52
    for colour, name in shown:
        _fill(axes, _square(x, y), _shade(colour, 0.25), edgecolor=colour, linewidth=0.8)
        axes.text(x + 0.15, y + 0.05, name, va="center", color=_INK)
        x += 0.15 + _text_width(name) + 0.16
    pixels = _round(0.5 / layout.pixel)
    channels = _round(0.7 / layout.channel)
    x = PAGE - MARGIN - 0.1
    for number, scale, unit in (
        (channels, layout.channel, "channels of depth"),
        (pixels, layout.pixel, "pixels of height"),
    ):
        text = f"{number} {unit}"
        x -= _text_width(text)
        axes.text(x, y + 0.05, text, va="center", color=_INK)
        x -= 0.06 + number * scale
        ends = (x, x + number * scale)
        axes.plot(ends, (y + 0.05,) * 2, color=_INK, linewidth=1.2, marker="|", markersize=4)
        x -= 0.2
    said = (
        "All blocks are to one scale: height and width alike, width slantwise at 0.45 of its "
        "length; depth, from left to right, has its own."
    )
    if any(layout.is_clipped(block) for block in found):
        said += "\nBars with a break are longer than drawn."
    axes.text(MARGIN, 0.38, said, va="top", color="#555555", linespacing=1.25)


def _round(number: float) -> int:
    """The largest power of two that is at most the number."""
    return 2 ** max(0, int(number).bit_length() - 1)


def _square(x: float, y: float) -> list[Point]:
    return [(x, y), (x + 0.1, y), (x + 0.1, y + 0.1), (x, y + 0.1)]


def _fill(axes: Axes, points: list[Point], colour: str, **more: Any) -> None:
    from matplotlib.patches import Polygon

    axes.add_patch(Polygon(points, closed=True, facecolor=colour, joinstyle="round", **more))


def _shade(colour: str, light: float) -> str:
    """A colour mixed with white (light above 0) or black (below)."""
    from matplotlib.colors import to_hex, to_rgb

    goal = 1.0 if light > 0 else 0.0
    return to_hex([part + (goal - part) * abs(light) for part in to_rgb(colour)])


def _text_width(text: str) -> float:
    """Inches that the widest line of a text takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(size=SMALL)
    measure = TextToPath().get_text_width_height_descent
    return max((measure(line, font, False)[0] for line in text.splitlines()), default=0.0) / 72

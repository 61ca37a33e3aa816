"""Draws a net as a row of blocks: its volumes to scale, with the layers between them.

matplotlib's object interface only; the same net gives the same file, byte for byte.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_jax.analysis.layer import Layer, Volume
from cnn_jax.report.block_layout import MARGIN, PAGE, TIMES, Block, Layout, Place, arrange, blocks
from cnn_jax.report.block_solid import INK, KINDS, WINDOW, Point, Solid, fill, shade
from cnn_jax.report.figure_style import STYLE_LOCK
from cnn_jax.storage.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL, NORMAL, LARGE = 7.0, 7.5, 9.5  # points
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    # The first comes with matplotlib; the second is as wide, where an SVG's reader lacks it.
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": SMALL,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "volumes",
}
DOTS = 200  # of a picture, per inch
_LINE = 0.118  # inches from line to line


def draw(
    layers: Sequence[Layer],
    image_shape: Volume,
    path: str | os.PathLike[str],
    *,
    title: str = "",
) -> None:
    """Draws a net's volumes, 7 inches wide.

    All blocks share one scale for height and width, and another for depth.

    Args:
      layers: `structure.layers(model, image_shape)`.
      image_shape: H, W, C of the image.
      path: A .png or .svg file; text in the latter stays text.
      title: Title of the figure.
    """
    path = Path(path)
    with style():
        drawn = save_as(build(layers, image_shape, title), path.suffix.removeprefix("."))
    write_atomically(path, drawn)


def save_as(figure: Figure, form: str) -> bytes:
    """A figure of `build` as a file, "png" or "svg"."""
    metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=DOTS, metadata=metadata)
    return content.getvalue()


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Sets matplotlib's settings for the figure, whatever the caller's are."""
    import matplotlib

    with STYLE_LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def build(layers: Sequence[Layer], image_shape: Volume, title: str = "") -> Figure:
    """The figure of `draw`; build and save it within `style`."""
    return build_with_rows(layers, image_shape, title)[0]


# Bottom and top of a row of blocks with its labels, in inches from below, and the blocks.
Row = tuple[float, float, list[Solid]]


def build_with_rows(
    layers: Sequence[Layer], image_shape: Volume, title: str
) -> tuple[Figure, list[Row]]:
    """The figure, and where its rows are."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = blocks(layers, image_shape)
    layout = arrange(found, _text_width)
    title = textwrap.fill(title, 88)
    notes = _notes(layout, found)
    steps = 0.3 + _LINE * max(_lines(block.step) for block in found)
    labels = 0.12 + _LINE * max(_lines(block.label) for block in found)
    heads = [max(Solid.of(layout, place).tall for place in row) for row in layout.rows]
    top = 0.1 + 0.17 * _lines(title)
    foot = 0.62 + _LINE * len(notes)
    figure_height = top + sum(heads) + len(heads) * (steps + labels) + foot
    figure = Figure(figsize=(PAGE, figure_height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, PAGE), ylim=(0, figure_height))
    axes.set_axis_off()
    axes.text(MARGIN, figure_height - 0.1, title, fontsize=LARGE, va="top", color=INK)
    bottom = figure_height - top
    rows: list[Row] = []
    for number, (row, height) in enumerate(zip(layout.rows, heads, strict=True)):
        bottom -= steps + height
        solids = _row(axes, layout, row, bottom, height, continues=number > 0)
        bottom -= labels
        rows.append((bottom, bottom + labels + height + steps, solids))
    _legend(axes, layout, found, foot - 0.2)
    axes.text(MARGIN, foot - 0.5, "\n".join(notes), va="top", color="#555555", linespacing=1.2)
    return figure, rows


def _row(
    axes: Axes,
    layout: Layout,
    row: Sequence[Place],
    bottom: float,
    height: float,
    *,
    continues: bool,
) -> list[Solid]:
    """Draws one row of blocks with their labels."""
    solids = [Solid.of(layout, place, bottom, height) for place in row]
    for place, solid in zip(row, solids, strict=True):
        block, middle = solid.block, (solid.left + solid.right) / 2
        solid.draw(axes)
        axes.text(middle, bottom - 0.07, block.label, ha="center", va="top", color=INK)
        if block.count > 1:
            mark = f"{block.count}{TIMES}"
            at = (middle, solid.top + 0.05)
            axes.text(*at, mark, ha="center", fontsize=NORMAL, weight="bold", color=INK)
        if block.step and (continues or solid is not solids[0]):
            _step(axes, block.step, place.step, bottom + height + 0.19)
    for number, (before, after) in enumerate(itertools.pairwise(solids)):
        before.connect(axes, after, at=0.62 if number % 2 else 0.36)
    return solids


def _step(axes: Axes, step: str, x: float, y: float) -> None:
    """Draws the name of the layer that makes a block, over an arrow."""
    axes.annotate(
        "",
        (x + 0.13, y),
        (x - 0.13, y),
        arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 0.7, "mutation_scale": 6},
    )
    axes.text(x, y + 0.05, step, ha="center", va="bottom", color=INK, linespacing=1.05)


def _legend(axes: Axes, layout: Layout, found: Sequence[Block], y: float) -> None:
    """Draws the colours of the kinds, and under them two scale bars."""
    kinds = {block.kind for block in found}
    shown = [(colour, name) for kind, (colour, name) in KINDS.items() if kind in kinds]
    if any(block.window for block in found):
        shown.append((WINDOW, "what one neuron sees"))
    x = MARGIN
    for colour, name in shown:
        fill(axes, _square(x, y - 0.05), shade(colour, 0.25), edgecolor=colour, linewidth=0.8)
        axes.text(x + 0.15, y, name, va="center", color=INK)
        x += 0.15 + _text_width(name) + 0.2
    x, y = MARGIN, y - 0.2
    for scale, unit, usual in (
        (layout.pixel, "pixels of height and width", 0.5),
        (layout.channel, "channels of depth", 0.7),
    ):
        number = _round(usual / scale)
        ends = (x, x + number * scale)
        axes.plot(ends, (y, y), color=INK, linewidth=1.2, marker="|", markersize=4)
        text = f"{number} {unit}"
        axes.text(ends[1] + 0.07, y, text, va="center", color=INK)
        x = ends[1] + 0.07 + _text_width(text) + 0.25


def _notes(layout: Layout, found: Sequence[Block]) -> list[str]:
    """The caption, in lines: which blocks are to scale."""
    notes = [
        "All blocks are to scale: height and width alike, width slantwise at 0.45 of its length; "
        "depth, left to right, on its own scale."
    ]
    if any(layout.is_thickened(block) for block in found):
        notes.append("Only what would be too thin to see is drawn thicker.")
    if any(layout.is_clipped(block) for block in found):
        notes.append("Bars with a break are longer than drawn.")
    return [notes[0], " ".join(notes[1:])] if notes[1:] else notes


def _lines(text: str) -> int:
    return len(text.splitlines())


def _square(x: float, y: float) -> list[Point]:
    return [(x, y), (x + 0.1, y), (x + 0.1, y + 0.1), (x, y + 0.1)]


def _round(number: float) -> int:
    """The largest power of two that is at most the number."""
    return 2 ** max(0, int(number).bit_length() - 1)


@functools.cache
def _text_width(text: str) -> float:
    """Inches that the widest line of a text takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(size=SMALL)
    measure = TextToPath().get_text_width_height_descent
    return max((measure(line, font, False)[0] for line in text.splitlines()), default=0.0) / 72

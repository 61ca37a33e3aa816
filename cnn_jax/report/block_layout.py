"""Which volumes a net's picture shows as blocks, and where on the page they stand, to scale."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

from cnn_jax.report.volume_table import is_beside
from cnn_jax.structure import Layer, Volume

TIMES = "\N{MULTIPLICATION SIGN}"
PAGE = 7.0  # inches: the text width of a page
MARGIN = 0.1
# Width is drawn slantwise at 0.45 of its length, 40 degrees up: x and y of one pixel of width.
SLANT = (0.345, 0.289)
# Nothing is drawn thinner than this: 1x1 volumes stay bars that can be seen.
THINNEST = 0.045
GAP, BETWEEN_LABELS = 0.24, 0.07
# With more volumes than this, consecutive equal ones become one block, then rows are wrapped.
MOST_IN_A_ROW = 12
# The fewest inches a channel may have before bars of height and width 1 are clipped, and to what.
SMALLEST_CHANNEL, CLIPPED = 1 / 450, 1.0


@dataclasses.dataclass(frozen=True)
class Block:
    """A volume of the picture, or several equal ones in a row.

    Attributes:
      kind: "input", "conv", "pool", "fc", or "join" for a volume that no layer makes.
      volume: Height, width and depth.
      name: What stands under it.
      step: What makes it of the block before, in lines.
      window: What one of its points sees of the block before; None: all of it.
      count: How many volumes it stands for.
    """

    kind: str
    volume: Volume
    name: str
    step: str = ""
    window: tuple[int, int] | None = None
    count: int = 1

    @property
    def label(self) -> str:
        return f"{with_times(self.volume)}\n{self.name}"

    @property
    def is_bar(self) -> bool:
        return self.volume[:2] == (1, 1)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the blocks stand: everything in inches.

    Attributes:
      rows: Blocks with the x of their left end, row by row.
      pixel: What one pixel of height measures.
      channel: What one channel of depth measures.
      longest: Where bars of height and width 1 are clipped.
    """

    rows: tuple[tuple[tuple[Block, float], ...], ...]
    pixel: float
    channel: float
    longest: float

    def size(self, block: Block) -> tuple[float, float, float]:
        """Drawn height, width (before it is slanted) and depth."""
        height, width, depth = block.volume
        length = max(depth * self.channel, THINNEST)
        return (
            max(height * self.pixel, THINNEST),
            max(width * self.pixel, THINNEST),
            min(length, self.longest) if block.is_bar else length,
        )

    def is_clipped(self, block: Block) -> bool:
        return block.is_bar and block.volume[2] * self.channel > self.longest


def blocks(layers: Sequence[Layer], image_shape: Volume) -> list[Block]:
    """The blocks of a net, the image first; norms change no volume, shortcuts are only named."""
    found = [Block("input", image_shape, "INPUT")]
    for layer in layers:
        before = found[-1]
        if layer.kind == "norm":
            continue
        if len(found) > 1 and is_beside(layer, before.volume):
            what = "shortcut" if layer.window == (1, 1) else "beside it"
            step = f"{before.step}\n+ {what} {with_times(layer.window or ())}"
            found[-1] = dataclasses.replace(before, step=step)
            continue
        if layer.input != before.volume:
            found.append(Block("join", layer.input, "joined"))
        found.append(Block(layer.kind, layer.output, layer.name, _step(layer), layer.window))
    if len(found) <= MOST_IN_A_ROW:
        return found
    grouped = itertools.groupby(found, lambda block: (block.kind, block.volume))
    return [_group(tuple(equal)) for _, equal in grouped]


def _step(layer: Layer) -> str:
    window = layer.window or (layer.input[:2] if layer.kind == "pool" else ())
    kind = layer.kind + "\n" if layer.kind == "pool" else layer.kind + " "
    usual = window if layer.kind == "pool" else (1, 1)
    stride = f"\nstride {max(layer.stride)}" if layer.stride and layer.stride != usual else ""
    return f"{kind}{with_times(window)}".strip() + stride


def _group(equal: tuple[Block, ...]) -> Block:
    if len(equal) == 1:
        return equal[0]
    first = equal[0]
    lines = list(dict.fromkeys(line for block in equal for line in block.step.splitlines()))
    step = "\n".join(f"first {line}" if line.startswith("stride") else line for line in lines)
    return dataclasses.replace(
        first, name=f"{len(equal)} {first.kind}s", step=step, count=len(equal)
    )


def arrange(found: Sequence[Block], text_width: Callable[[str], float]) -> Layout:
    """Places blocks on the page, in as few rows as their labels allow, at one scale for all.

    Args:
      found: What `blocks` returns.
      text_width: Inches that the widest line of a text takes.
    """
    tallest = max(max(block.volume[:2]) for block in found)
    for number in range(1, len(found) + 1):
        per_row = -(-len(found) // number)
        rows = [found[i : i + per_row] for i in range(0, len(found), per_row)]
        pixel = (1.5 if len(rows) == 1 and per_row <= 8 else 1.15) / tallest
        for longest in (PAGE, CLIPPED):
            channel = _largest_channel(rows, pixel, longest, text_width)
            if channel >= SMALLEST_CHANNEL or (longest == CLIPPED and per_row == 1):
                layout = Layout((), pixel, channel, longest)
                placed = tuple(_spread(row, layout, text_width) for row in rows)
                return dataclasses.replace(layout, rows=placed)
    raise AssertionError("one block a row always fits")


def _largest_channel(rows, pixel: float, longest: float, text_width) -> float:
    """The largest scale of depth, at most that of height, at which the rows fit; 0: none."""
    low, high = 0.0, pixel
    for _ in range(30):
        middle = (low + high) / 2
        layout = Layout((), pixel, middle, longest)
        fits = all(_places(row, layout, text_width)[1] <= PAGE - MARGIN for row in rows)
        low, high = (middle, high) if fits else (low, middle)
    return low


def _places(row: Sequence[Block], layout: Layout, text_width) -> tuple[list[float], float]:
    """The left ends of a row's blocks, as close as labels allow, and where the row ends."""
    lefts: list[float] = []
    end = label_end = step_end = 0.0
    for place, block in enumerate(row):
        _, width, depth = layout.size(block)
        drawn = depth + width * SLANT[0]
        half_label = text_width(block.label) / 2
        if place:
            # A step's text is centred on the gap before its block: it moves half as far.
            free = max(GAP, text_width(block.step) - 2 * (end - step_end) if lefts[1:] else GAP)
            left = max(end + free, label_end + BETWEEN_LABELS + half_label - drawn / 2)
            middle = (end + left) / 2
            needed = step_end + BETWEEN_LABELS + text_width(block.step) / 2
            left += 2 * max(0.0, needed - middle)
            step_end = (end + left) / 2 + text_width(block.step) / 2
        else:
            left = max(MARGIN, MARGIN + half_label - drawn / 2)
            step_end = MARGIN
        lefts.append(left)
        end, label_end = left + drawn, left + drawn / 2 + half_label
    return lefts, max(end, label_end, step_end)


def _spread(row: Sequence[Block], layout: Layout, text_width) -> tuple[tuple[Block, float], ...]:
    """A row with what is left of the page shared out between its blocks."""
    lefts, end = _places(row, layout, text_width)
    extra = min((PAGE - MARGIN - end) / max(len(row) - 1, 1), 0.35)
    start = (PAGE - MARGIN - end - extra * (len(row) - 1)) / 2
    return tuple(
        (block, left + start + place * extra)
        for place, (block, left) in enumerate(zip(row, lefts, strict=True))
    )


def with_times(sides: Sequence[int]) -> str:
    """(32, 32, 3) with the sign of multiplication between."""
    return TIMES.join(map(str, sides))

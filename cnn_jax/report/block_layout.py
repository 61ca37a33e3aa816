"""Chooses the blocks of a net's figure and places them on the page, to scale."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence

from cnn_jax.analysis.layer import Layer, Volume
from cnn_jax.analysis.volumes import is_shortcut

TIMES = "\N{MULTIPLICATION SIGN}"
PAGE = 7.0  # inches: the text width of a page
MARGIN = 0.1
# Width is drawn obliquely, at 0.45 of its length and 40 degrees: x and y of one pixel of width.
SLANT = (0.345, 0.289)
# Smallest drawn depth, and smallest drawn height and width (inches), so that blocks are visible.
THINNEST, SLIMMEST = 0.014, 0.045
GAP, BETWEEN_LABELS = 0.22, 0.07
# With more volumes than this, consecutive equal ones are drawn as one block.
MOST_BLOCKS = 12
# Characters. Longer sizes take two lines, longer names are cut.
LONGEST_SIZE, LONGEST_NAME = 9, 40
# Inches. The deepest block gets at least an inch, or 1/450 per channel. If a row has no room for
# that, bars of height and width 1 are clipped to no less than an inch; if that is not enough, there
# is one more row.
DEEPEST, CHANNEL = 1.0, 1 / 450


@dataclasses.dataclass(frozen=True)
class Block:
    """A volume of the figure, or several equal ones in sequence.

    Attributes:
      kind: "input", "conv", "pool", "fc", or "join" for a volume that no layer outputs.
      volume: Height, width and depth.
      name: Label below the block.
      step: Label of the layer between the block before and this one, in lines.
      window: Window of that layer; None: the whole block before.
      count: How many volumes the block stands for.
      layer: Index of the layer that outputs it, or the first of them; None without a layer.
    """

    kind: str
    volume: Volume
    name: str
    step: str = ""
    window: tuple[int, int] | None = None
    count: int = 1
    layer: int | None = None

    @property
    def label(self) -> str:
        size = with_times(self.volume)
        if len(size) > LONGEST_SIZE:
            size = f"{with_times(self.volume[:2])}\n{TIMES}{self.volume[2]}"
        return "\n".join((size, *(part[:LONGEST_NAME] for part in self.name.split("/"))))

    @property
    def is_bar(self) -> bool:
        return self.volume[:2] == (1, 1)


@dataclasses.dataclass(frozen=True)
class Place:
    """A block's position in its row, in inches from the left of the page.

    Attributes:
      block: The block.
      left: Left end of the block.
      step: Centre of the label `block.step`.
      end: Right end of the block and its labels.
    """

    block: Block
    left: float
    step: float
    end: float


@dataclasses.dataclass(frozen=True)
class Layout:
    """The positions and scales of the blocks, in inches.

    Attributes:
      rows: The blocks' places, row by row.
      pixel: Length of one pixel of height.
      channel: Length of one channel of depth.
      longest: Length at which bars of height and width 1 are clipped.
    """

    rows: tuple[tuple[Place, ...], ...]
    pixel: float
    channel: float
    longest: float = PAGE

    def size(self, block: Block) -> tuple[float, float, float]:
        """Drawn height, width (before projection) and depth."""
        height, width, depth = block.volume
        length = max(depth * self.channel, THINNEST)
        return (
            max(height * self.pixel, SLIMMEST),
            max(width * self.pixel, SLIMMEST),
            min(length, self.longest) if block.is_bar else length,
        )

    def is_thickened(self, block: Block) -> bool:
        """Whether the block would be too thin to see if drawn to scale."""
        height, width, depth = block.volume
        return min(height, width) * self.pixel < SLIMMEST or depth * self.channel < THINNEST

    def is_clipped(self, block: Block) -> bool:
        return block.is_bar and block.volume[2] * self.channel > self.longest


def blocks(layers: Sequence[Layer], image_shape: Volume) -> list[Block]:
    """The blocks of a net, the image first. Norms and products of volumes get no block; a shortcut
    is only named."""
    found = [Block("input", image_shape, "INPUT")]
    for number, layer in enumerate(layers):
        before = found[-1]
        if layer.kind in ("norm", "product"):
            continue
        if len(found) > 1 and is_shortcut(layer, before.volume):
            what = "shortcut" if layer.window == (1, 1) else "beside it"
            step = f"{before.step}\n+ {what} {with_times(layer.window or ())}"
            found[-1] = dataclasses.replace(before, step=step)
            continue
        if layer.input != before.volume:
            found.append(Block("join", layer.input, "joined"))
        step = _step(layer)
        found.append(Block(layer.kind, layer.output, layer.name, step, layer.window, layer=number))
    if len(found) <= MOST_BLOCKS:
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
    """Places blocks on the page at one scale, in as few rows as their labels allow.

    Args:
      found: The result of `blocks`.
      text_width: Returns the width of the widest line of a text, in inches.
    """
    tallest = max(max(block.volume[:2]) for block in found)
    deepest = max((block.volume[2] for block in found if not block.is_bar), default=0)
    enough = min(CHANNEL, DEEPEST / max(deepest, 1))
    pixel = (1.5 if len(found) <= 8 else 1.05) / tallest
    at_scale = functools.partial(Layout, (), pixel)
    clipped = functools.partial(Layout, (), pixel, enough)
    for number in range(1, len(found) + 1):
        layout = _largest(found, number, at_scale, (enough, pixel), text_width)
        layout = layout or _largest(found, number, clipped, (DEEPEST, PAGE), text_width)
        if layout:
            return layout
    raise AssertionError("one block a row always fits")


def _largest(
    found: Sequence[Block],
    number: int,
    make: Callable[[float], Layout],
    between: tuple[float, float],
    text_width: Callable[[str], float],
) -> Layout | None:
    """The layout in `number` rows with the largest free length; None if none fits."""
    low, high = between
    best = None
    for tried in itertools.chain((low, high), itertools.repeat(None, 25)):
        free = (low + high) / 2 if tried is None else tried
        rows = _wrap(found, make(free), text_width)
        if rows and len(rows) <= number:
            low, best = free, dataclasses.replace(make(free), rows=tuple(map(_spread, rows)))
        elif free == low:
            return None
        else:
            high = free
    return best


def _wrap(found: Sequence[Block], layout: Layout, text_width) -> list[list[Place]] | None:
    """Fills rows one after the other, as text is wrapped; None if a block is too long."""
    rows: list[list[Place]] = []
    rest = list(found)
    while rest:
        places = _places(rest, layout, text_width, continues=bool(rows))
        row = [place for place in places if place.end <= PAGE - MARGIN]
        if not row:
            return None
        rows.append(row)
        rest = rest[len(row) :]
    return rows


def _places(row: Sequence[Block], layout: Layout, text_width, continues: bool) -> list[Place]:
    """Places a row's blocks as close as their labels allow."""
    places: list[Place] = []
    right = label_end = 0.0
    step_end = MARGIN - BETWEEN_LABELS
    for block in row:
        _, width, depth = layout.size(block)
        drawn = depth + width * SLANT[0]
        label, step = text_width(block.label) / 2, text_width(block.step) / 2
        if places:
            # The label of a step is centred on the gap before its block.
            middle = max(right + GAP / 2, step_end + BETWEEN_LABELS + step)
            left = max(2 * middle - right, label_end + BETWEEN_LABELS + label - drawn / 2)
            middle = (right + left) / 2
        else:
            left = max(MARGIN, MARGIN + label - drawn / 2)
            if continues:
                left = max(left, MARGIN + 2 * step + GAP / 2)
            middle = left - step - GAP / 2
        right, step_end, label_end = left + drawn, middle + step, left + drawn / 2 + label
        places.append(Place(block, left, middle, max(right, step_end, label_end)))
    return places


def _spread(row: Sequence[Place]) -> tuple[Place, ...]:
    """Spreads a row over the width of the page."""
    left = PAGE - MARGIN - max(place.end for place in row)
    extra = min(left / max(len(row) - 1, 1), 0.35)
    start = (left - extra * (len(row) - 1)) / 2
    return tuple(
        dataclasses.replace(
            place, left=place.left + start + i * extra, step=place.step + start + (i - 0.5) * extra
        )
        for i, place in enumerate(row)
    )


def with_times(sides: Sequence[int]) -> str:
    """Formats a shape with multiplication signs."""
    return TIMES.join(map(str, sides))

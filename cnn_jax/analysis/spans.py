"""Computes which pixels of the image the entries of a volume see: their receptive fields."""

import dataclasses
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Span:
    """The rows or the columns of the image that the entries of a volume see.

    Entry i sees from `start + i * jump` up to, and not including, `stop + i * jump`, so far as the
    image goes. Padding lies outside the image; an entry that sees all of it spans infinity.

    Attributes:
      start: First pixel that entry 0 sees; negative where it sees padding.
      stop: Pixel after the last that entry 0 sees.
      jump: Distance of neighbouring entries in pixels.
    """

    start: float = 0
    stop: float = 1
    jump: int = 1

    def side(self, size: int) -> int:
        """Pixels that an entry away from the borders sees, in an image of `size` pixels."""
        return int(min(self.stop - self.start, size))

    def pixels(self, index: int, size: int) -> tuple[int, int]:
        """The pixels that entry `index` sees, clipped to the image: (start, stop)."""
        start, stop = (
            min(max(end + index * self.jump, 0), size) for end in (self.start, self.stop)
        )
        return int(start), int(stop)


Spans = tuple[Span, Span]
WHOLE: Spans = (Span(-math.inf, math.inf), Span(-math.inf, math.inf))


def windows(
    sees: Spans,
    padding: Sequence[int],
    reach: Sequence[int] = (1, 1),
    stride: Sequence[int] = (1, 1),
) -> Spans:
    """What windows over a volume see, where its entries see `sees`.

    Args:
      sees: Rows and columns of the image that the entries see.
      padding: Rows above and columns to the left that are added first; cut off if negative.
      reach: Height and width of a window, with its gaps.
      stride: Vertical and horizontal step of the window.
    """
    vertical, horizontal = (
        Span(
            axis.start - low * axis.jump,
            axis.stop + (size - 1 - low) * axis.jump,
            axis.jump * step,
        )
        for axis, low, size, step in zip(sees, padding, reach, stride, strict=True)
    )
    return vertical, horizontal


def union(sees: Sequence[Spans]) -> Spans:
    """What an entry sees that is computed from entries of several volumes."""
    vertical, horizontal = (
        Span(
            min(span.start for span in axis),
            max(span.stop for span in axis),
            max(span.jump for span in axis),
        )
        for axis in zip(*sees, strict=True)
    )
    return vertical, horizontal

"""What runs in pairs come to: the median of their ratios, and the spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

Spread = dict[str, float]


def spread(values: Sequence[float]) -> Spread:
    """The median of some values, the least and the greatest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The spread of ours / theirs, taken pair by pair: what slows both down cancels.

    Raises:
      ValueError: where one has more runs than the other.
    """
    return spread([our / their for our, their in zip(ours, theirs, strict=True)])


def in_words(found: Spread, digits: int = 2) -> str:
    """A spread as "1.25 (1.10..1.31)"."""
    median, least, most = (f"{found[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return f"{median} ({least}..{most})"

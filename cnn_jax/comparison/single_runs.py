"""Compares two nets by their predictions on the same images."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class McNemar:
    """Two nets on the same images.

    Attributes:
      images: Number of images.
      first_alone: Images that only the first net gets right.
      second_alone: Images that only the second net gets right.
      agreement: Fraction of the images for which both predict the same class.
      p: The two-sided p-value that both nets are right equally often: the exact test of McNemar
        1947, a binomial test of `first_alone` against `second_alone`.
    """

    images: int
    first_alone: int
    second_alone: int
    agreement: float
    p: float


def mcnemar(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> McNemar:
    """Compares two nets.

    Args:
      labels: i[N], the true classes.
      first: i[N], the classes that the first net predicts.
      second: i[N], those of the second.
    """
    from scipy import stats  # takes a second to load

    right = first == labels, second == labels
    alone = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    test: Any = stats.binomtest(alone[0], sum(alone)) if sum(alone) else None
    return McNemar(
        images=len(labels),
        first_alone=alone[0],
        second_alone=alone[1],
        agreement=float((first == second).mean()),
        p=float(test.pvalue) if test else 1.0,
    )

"""Lists the pairs of classes that a net confuses most."""

import dataclasses

import numpy as np

MOST = 30  # pairs in the figure and in the table


@dataclasses.dataclass(frozen=True)
class Pair:
    """Images of one class that were predicted as another.

    Attributes:
      true: Index of the true class.
      predicted: Index of the predicted class.
      images: Number of the images.
      share: Their share of the true class's images.
    """

    true: int
    predicted: int
    images: int
    share: float


def most_confused(counts: np.ndarray) -> list[Pair]:
    """The 30 pairs with the most images, i[K,K] by true and predicted class; ties by share."""
    true, predicted = np.nonzero(_errors(counts))
    images = counts[true, predicted]
    shares = images / counts.sum(1)[true]
    order = np.lexsort((-shares, -images))[:MOST]
    return [Pair(int(true[i]), int(predicted[i]), int(images[i]), float(shares[i])) for i in order]


def description(counts: np.ndarray) -> str:
    """What `most_confused` lists, in a line."""
    every = int(np.count_nonzero(_errors(counts)))
    if not every:
        return "No errors"
    if every > MOST:
        return f"The {MOST} most confused of {every:,} confused pairs of classes"
    return f"{every} confused {'pair' if every == 1 else 'pairs'} of classes"


def _errors(counts: np.ndarray) -> np.ndarray:
    return counts - np.diag(counts.diagonal())

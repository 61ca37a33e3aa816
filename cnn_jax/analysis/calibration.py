"""Measures a net's calibration and fits the softmax temperature that corrects it.

NumPy only, in float64; probabilities are the softmax of the scores.
"""

import dataclasses

import numpy as np

BINS = 15
# Range of the search for the inverse temperature, in powers of ten.
_LOWEST, _HIGHEST = -6.0, 6.0


@dataclasses.dataclass(frozen=True, eq=False)
class Reliability:
    """Examples binned by confidence, the probability of the highest-scoring class.

    Attributes:
      edges: f64[M+1], from 0 to 1; bin m holds confidences in (edges[m], edges[m+1]].
      counts: i64[M], number of examples in each bin.
      confidence: f64[M], mean confidence in each bin; NaN in an empty bin.
      accuracy: f64[M], accuracy in each bin; NaN in an empty bin.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def ece(self) -> float:
        """The expected calibration error: |accuracy - confidence|, averaged over the examples."""
        gap = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float(self.counts @ gap / self.counts.sum())


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Class probabilities of the scores divided by the temperature: f[N,K] -> f64[N,K]."""
    return np.exp(_log_softmax(logits, temperature))


def negative_log_likelihood(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> float:
    """Mean of -log p(label), in nats per example; `logits` f[N,K], `labels` i[N]."""
    return float(-_log_softmax(logits, temperature)[np.arange(len(labels)), labels].mean())


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """Sorts the examples into bins of equal width (Guo et al. 2017, arXiv:1706.04599, section 2).

    Args:
      probabilities: f[N,K]; each row sums to 1.
      labels: i[N].
      bins: Number of bins.
    """
    confidence = np.minimum(probabilities.max(1), 1.0)
    right = probabilities.argmax(1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:], confidence)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            edges=edges,
            counts=counts,
            confidence=np.bincount(place, confidence, bins) / counts,
            accuracy=np.bincount(place, right, bins) / counts,
        )


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """The temperature that maximises the labels' likelihood (Guo et al. 2017, section 4.2).

    The negative log-likelihood is convex in the inverse temperature. Its slope is the mean expected
    score minus the mean score of the labels; bisection finds where it is 0, from 1e-6 to 1e6.

    Args:
      logits: f[N,K], of examples that were not trained on.
      labels: i[N].

    Returns:
      None if there is no minimum: every label scores highest, or the scores say no more about the
      labels than chance.
    """
    logits = np.asarray(logits, np.float64)
    own = logits[np.arange(len(labels)), labels].mean()
    low, high = _LOWEST, _HIGHEST
    for _ in range(50):
        middle = (low + high) / 2
        probabilities = softmax(logits, 10**-middle)
        slope = (probabilities * logits).sum(1).mean() - own
        low, high = (low, middle) if slope > 0 else (middle, high)
    if low == _LOWEST or high == _HIGHEST:
        return None
    return 10 ** -((low + high) / 2)


def _log_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = np.asarray(logits, np.float64) / temperature
    shifted = scaled - scaled.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))

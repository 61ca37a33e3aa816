"""Whether a net is right as often as it is sure: reliability, and the temperature that mends it.

NumPy only, in float64; probabilities are the softmax of the scores.
"""

import dataclasses

import numpy as np

BINS = 15
# Inverse temperatures that are looked at, as powers of ten.
_LEAST, _MOST = -6.0, 6.0


@dataclasses.dataclass(frozen=True, eq=False)
class Reliability:
    """Examples by their confidence, the probability of the class that scores highest.

    Attributes:
      edges: f64[M+1], from 0 to 1; bin m holds the confidences above edge m up to edge m+1.
      counts: i64[M], examples in each bin.
      confidence: f64[M], their mean confidence; NaN in an empty bin.
      accuracy: f64[M], the fraction of them that is right, likewise.
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
    """f[N,K] -> f64[N,K], the probabilities of the scores divided by the temperature."""
    return np.exp(_log_softmax(logits, temperature))


def negative_log_likelihood(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> float:
    """The mean of -log p(label): f[N,K], i[N] -> nats an example."""
    return float(-_log_softmax(logits, temperature)[np.arange(len(labels)), labels].mean())


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """Sorts the examples into bins of equal width (Guo et al. 2017, arXiv:1706.04599, section 2).

    Args:
      probabilities: f[N,K], each row adding up to 1.
      labels: i[N].
      bins: How many.
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


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which these labels are likeliest (Guo et al. 2017, section 4.2).

    The negative log-likelihood is convex in the inverse temperature: its slope, the mean of the
    expected score less the label's, grows, and where it crosses 0 is found by halving. Where no
    temperature is best (every label scores highest, or they are no better than chance), the end of
    1e-6 to 1e6 that is nearer to it is given.

    Args:
      logits: f[N,K], of examples that nothing was trained on.
      labels: i[N].
    """
    logits = np.asarray(logits, np.float64)
    own = logits[np.arange(len(labels)), labels].mean()
    low, high = _LEAST, _MOST
    for _ in range(50):
        middle = (low + high) / 2
        probabilities = softmax(logits, 10**-middle)
        slope = (probabilities * logits).sum(1).mean() - own
        low, high = (low, middle) if slope > 0 else (middle, high)
    return 10 ** -((low + high) / 2)


def _log_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = np.asarray(logits, np.float64) / temperature
    shifted = scaled - scaled.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))

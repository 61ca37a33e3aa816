"""Confidence intervals and tests for means of a few runs.

Values are treated as independent draws from normal distributions, one distribution for each group.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
# Of a search for a number of runs.
MOST_RUNS = 100_000


@dataclass(frozen=True)
class Mean:
    """The mean of a group's values.

    Attributes:
      n: Number of values.
      mean: Their mean.
      sd: Their standard deviation, with n - 1; None for one value.
      low, high: The 95 % confidence interval of the mean, by Student's t; None for one value.
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """A difference of two means, the second minus the first.

    Attributes:
      method: "paired" or "welch".
      mean: The difference.
      low, high: Its 95 % confidence interval.
      p: The two-sided p-value of no difference.
      error: The standard error of the difference.
      freedom: Degrees of freedom.
    """

    method: str
    mean: float
    low: float
    high: float
    p: float
    error: float
    freedom: float

    def equivalent(self, margin: float) -> bool:
        """Whether the means differ by less than a margin, by two one-sided tests at 5 %.

        That is so if the 90 % interval lies between -margin and margin (Schuirmann 1987).
        """
        reach = _reach(self.error, self.freedom, 0.90)
        return -margin < self.mean - reach and self.mean + reach < margin


def mean(values: Sequence[float]) -> Mean:
    """The mean of at least one value, and its interval."""
    given = np.asarray(values, np.float64)
    centre = float(given.mean())
    if len(given) < 2:
        return Mean(len(given), centre, None, None, None)
    sd = float(given.std(ddof=1))
    reach = _reach(sd / math.sqrt(len(given)), len(given) - 1, LEVEL)
    return Mean(len(given), centre, sd, centre - reach, centre + reach)


def paired(first: Sequence[float], second: Sequence[float]) -> Difference:
    """The difference of values that belong together, such as those of the same seeds.

    Args:
      first: At least two values.
      second: As many, in the same order.
    """
    differences = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    error = differences.std(ddof=1) / math.sqrt(len(differences))
    return _difference("paired", differences.mean(), error, len(differences) - 1)


def welch(first: Sequence[float], second: Sequence[float]) -> Difference:
    """The difference of two independent groups, whose spreads may differ (Welch 1947).

    Args:
      first: At least two values.
      second: At least two values.
    """
    given = [np.asarray(values, np.float64) for values in (first, second)]
    parts = [values.var(ddof=1) / len(values) for values in given]
    total = sum(parts)
    # Two groups without any spread: the smaller number of degrees, as in the limit.
    least = min(len(values) for values in given) - 1
    shares = sum(part**2 / (len(values) - 1) for part, values in zip(parts, given, strict=True))
    freedom = total**2 / shares if shares else least
    return _difference("welch", given[1].mean() - given[0].mean(), math.sqrt(total), freedom)


def holm(values: Sequence[float]) -> list[float]:
    """The p-values of several tests, adjusted so that all are true with 95 % (Holm 1979)."""
    order = np.argsort(values)
    adjusted, largest = [0.0] * len(values), 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[number]))
        adjusted[number] = largest
    return adjusted


def runs_needed(sd: float, difference: float, *, pairs: bool, power: float = 0.8) -> int | None:
    """The number of runs in each group that show a true difference with this probability.

    Args:
      sd: The standard deviation of a group, or of the differences of pairs.
      difference: The true difference.
      pairs: Whether runs are paired by their seeds.
      power: The probability that the two-sided test at 5 % finds it.

    Returns:
      None if it is more than 100,000.
    """
    low, high = 2, 2
    while _power(sd, difference, high, pairs) < power:
        low, high = high + 1, high * 2
        if high > MOST_RUNS:
            return None
    while low < high:
        middle = (low + high) // 2
        if _power(sd, difference, middle, pairs) < power:
            low = middle + 1
        else:
            high = middle
    return high


def _power(sd: float, difference: float, n: int, pairs: bool) -> float:
    """The probability that the test finds a difference, by the noncentral t distribution."""
    from scipy import special  # takes a quarter of a second to load

    if sd == 0:
        return 1.0
    freedom = n - 1 if pairs else 2 * n - 2
    centre = abs(difference) / (sd * math.sqrt((1 if pairs else 2) / n))
    critical = special.stdtrit(freedom, (1 + LEVEL) / 2)
    inside: Any = special.nctdtr(freedom, centre, critical)
    return float(1 - inside + special.nctdtr(freedom, centre, -critical))


def _difference(method: str, centre: Any, error: Any, freedom: Any) -> Difference:
    from scipy import special

    centre, error, freedom = float(centre), float(error), float(freedom)
    reach = _reach(error, freedom, LEVEL)
    # Without any spread, a difference is certain, or there is none.
    p = float(2 * special.stdtr(freedom, -abs(centre) / error) if error else centre == 0)
    return Difference(method, centre, centre - reach, centre + reach, p, error, freedom)


def _reach(error: float, freedom: float, level: float) -> float:
    from scipy import special

    return float(error * special.stdtrit(freedom, (1 + level) / 2))

"""Times calls that start work on the devices: warm-up, then samples until the result is ready."""

import collections
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from cnn_jax.runtime.parallel import IN_FLIGHT

SAMPLES = 20
# Seconds. Shorter samples measure the clock and the dispatch; calls are repeated to fill one.
SHORTEST_SAMPLE = 0.02


@dataclass(frozen=True)
class Timing:
    """Seconds per call.

    Attributes:
      samples: Mean seconds per call of each sample.
      calls: Number of timed calls in all samples, without the warm-up.
    """

    samples: tuple[float, ...]
    calls: int

    @property
    def p50(self) -> float:
        """The median."""
        return float(np.percentile(self.samples, 50))

    @property
    def p90(self) -> float:
        """The 90th percentile."""
        return float(np.percentile(self.samples, 90))

    @property
    def best(self) -> float:
        """The shortest."""
        return min(self.samples)


def measure(
    call: Callable[[], Any], seconds: float, samples: int = SAMPLES, least: int = 1
) -> Timing:
    """Times calls, after one or two for warm-up, until the samples or the seconds are reached.

    Within a sample calls are dispatched ahead, as in training; the sample ends when the last result
    is ready.

    Args:
      call: Starts the work, and returns arrays that are ready when it is done.
      seconds: Time limit after the warm-up (approximate); with 0 there are `least` samples.
      samples: Maximum number of samples.
      least: Minimum number of samples, whatever the time limit.
    """
    once = _seconds(call, 1)
    if once < seconds:
        once = _seconds(call, 1)
    calls = max(1, math.ceil(SHORTEST_SAMPLE / once))
    end = time.perf_counter() + seconds
    taken = [_seconds(call, calls)]
    while len(taken) < least or (len(taken) < samples and time.perf_counter() < end):
        taken.append(_seconds(call, calls))
    return Timing(tuple(taken), len(taken) * calls)


def _seconds(call: Callable[[], Any], calls: int) -> float:
    waiting: collections.deque[Any] = collections.deque()
    start = time.perf_counter()
    for _ in range(calls):
        waiting.append(call())
        if len(waiting) > IN_FLIGHT:
            jax.block_until_ready(waiting.popleft())
    jax.block_until_ready(list(waiting))
    return (time.perf_counter() - start) / calls

"""How long a program takes: warmed up, waited for, and as a median of samples."""

from __future__ import annotations

import collections
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from cnn_jax.training.loop import IN_FLIGHT

SAMPLES = 20
# A shorter sample would time the clock and the call; so many calls go into one as fill it.
SHORTEST_SAMPLE = 0.02


@dataclass(frozen=True)
class Timing:
    """Seconds a call.

    Attributes:
      samples: The mean of each sample.
      calls: How many calls were timed, over all samples; warm-up is not counted.
    """

    samples: tuple[float, ...]
    calls: int

    @property
    def p50(self) -> float:
        """The median."""
        return float(np.percentile(self.samples, 50))

    @property
    def p90(self) -> float:
        """What nine of ten samples stay below."""
        return float(np.percentile(self.samples, 90))

    @property
    def best(self) -> float:
        """The shortest."""
        return min(self.samples)


def measure(
    call: Callable[[], Any], seconds: float, samples: int = SAMPLES, least: int = 1
) -> Timing:
    """Times calls until there are enough samples or the time is up, whichever comes first.

    One or two calls warm up. Within a sample
    calls are given to the device ahead, as in training; it ends when the last result is there.

    Args:
      call: Starts the work, and returns arrays that are ready when it is done.
      seconds: About how long to go on after the warm-up.
      samples: How many samples are enough.
      least: How many are taken however long they last.
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

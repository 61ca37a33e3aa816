"""The four streams of randomness of a run, split from its seed once."""

from __future__ import annotations

from typing import NamedTuple

import jax


class Streams(NamedTuple):
    """Keys to be folded with an epoch or a step: randomness is a function of (seed, place).

    Attributes:
      order: Folded with the epoch: the order of its examples.
      augment: Folded with the step, the augmentation's place and the example's index.
      dropout: Folded with the step and the index of the first example that it is for.
      init: The parameters; folded with nothing.
    """

    order: jax.Array
    augment: jax.Array
    dropout: jax.Array
    init: jax.Array


def streams(seed: int) -> Streams:
    """The streams of a seed."""
    return Streams(*jax.random.split(jax.random.key(seed), 4))

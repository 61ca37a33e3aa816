"""The four random keys of a run, split from its seed."""

from typing import NamedTuple

import jax


class Streams(NamedTuple):
    """Random keys, folded with the epoch or the step: randomness is a function of (seed, position).

    Attributes:
      order: The order of an epoch's examples; folded with the epoch.
      augment: Folded with the step, the augmentation's position and the example's index.
      dropout: Folded with the step and the index of the batch part's first example.
      init: The initial parameters; not folded.
    """

    order: jax.Array
    augment: jax.Array
    dropout: jax.Array
    init: jax.Array


def streams(seed: int) -> Streams:
    """The random keys of a seed."""
    return Streams(*jax.random.split(jax.random.key(seed), 4))

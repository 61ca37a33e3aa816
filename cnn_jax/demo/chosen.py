"""The picture that a reader has chosen."""

from typing import NamedTuple

import numpy as np

from cnn_jax.demo import labels
from cnn_jax.demo.shown import Shown


class Chosen(NamedTuple):
    """A picture in the form that the net takes.

    Attributes:
      name: Where it comes from, and its class if that is known.
      image: u8[H,W,C].
    """

    name: str
    image: np.ndarray


def chosen_test_image(shown: Shown, number: int) -> Chosen:
    """A test image, with its class."""
    name = labels.test_image(number, shown.test_class(number))
    return Chosen(name, shown.test_image(number))

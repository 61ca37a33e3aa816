"""Defines Shapes, the built-in synthetic data set of ten drawn figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnn_jax.data import shapes_drawing
from cnn_jax.data.dataset import Dataset, Split, channel_statistics, fingerprint
from cnn_jax.ranges import Checked, NonNegative, Positive

SIZE = 32
BLOCK = 500


@dataclass(frozen=True)
class Shapes(Checked):
    """Ten geometric shapes at random positions, rotated by up to 40 degrees, on noisy backgrounds.

    Needs no download and no files. A linear model reaches about 30 % accuracy, a small ConvNet
    about 94 % within minutes on a CPU: position, rotation and colour carry no information on the
    class. An image depends only on the seed, the size, its split and its index: a longer split
    begins with the images of a shorter one, and no split depends on another's length.

    Attributes:
      train: Number of training images.
      validation: Number of validation images; 0: none.
      test: Number of test images.
      seed: Seed of the images.
      size: Height and width of the images, in pixels.
    """

    train: Positive[int] = 10000
    validation: NonNegative[int] = 1000
    test: Positive[int] = 2000
    seed: NonNegative[int] = 0
    size: Positive[int] = SIZE

    def resolve(self, data_dir: str | None = None) -> tuple[Shapes, str]:
        """Returns this config and an empty note."""
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Draws the images; ignores `data_dir`."""
        train, validation, test = (
            _split(self.seed, stream, number, self.size)
            for stream, number in enumerate((self.train, self.validation, self.test))
        )
        assert train is not None
        assert test is not None
        parts = [split for split in (train, validation, test) if split is not None]
        mean, std = channel_statistics(np.asarray(train.images))
        return Dataset(
            name="shapes",
            classes=tuple(shapes_drawing.FIGURES),
            train=train,
            validation=validation,
            test=test,
            mean=mean,
            std=std,
            fingerprint=fingerprint(parts),
        )


def _split(seed: int, stream: int, number: int, size: int) -> Split | None:
    """Returns the first images of a random stream; None if `number` is 0."""
    if number == 0:
        return None
    images = np.empty((number, size, size, 3), np.uint8)
    labels = np.empty(number, np.int32)
    most = max(1, BLOCK * SIZE**2 // size**2)
    for start in range(0, number, most):
        sequence = np.random.SeedSequence(seed, spawn_key=(stream, start // most))
        block = shapes_drawing.draw(np.random.Generator(np.random.PCG64(sequence)), most, size)
        stop = min(start + most, number)
        images[start:stop], labels[start:stop] = (array[: stop - start] for array in block)
    return Split(images, labels)

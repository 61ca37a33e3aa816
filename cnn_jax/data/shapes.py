"""Shapes, the built-in data set: ten classes of drawn figures, made by a seeded program."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from cnn_jax.data import drawing
from cnn_jax.data.dataset import Dataset, Split, channel_statistics, combined_digest, digest

SIZE = 32
BLOCK = 500


@dataclass(frozen=True)
class Shapes:
    """Ten figures, anywhere, tilted up to 40 degrees, brighter than their noisy, cluttered grounds.

    No download and no files. A linear model comes to about 30 %, a small ConvNet to about 94 %
    within minutes on a CPU: position, tilt and colour tell nothing of the class. The images depend
    on the seed and their place alone: a longer split begins with the shorter one, and no split
    depends on another's length.

    Attributes:
      train: Number of training images.
      validation: Number of validation images; 0 for none.
      test: Number of test images.
      seed: Seed of the drawing.
    """

    train: int = 10000
    validation: int = 1000
    test: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        lowest = {"train": 1, "validation": 0, "test": 1, "seed": 0}
        for field in fields(self):
            value = getattr(self, field.name)
            if value < lowest[field.name]:
                raise ValueError(f"{field.name} must be at least {lowest[field.name]}, got {value}")

    def resolve(self, data_dir: str | None = None) -> tuple[Shapes, str]:
        """This config and an empty note: it can always be had."""
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Draws the images; the folder of data sets is not used."""
        train, validation, test = (
            _split(self.seed, stream, number)
            for stream, number in enumerate((self.train, self.validation, self.test))
        )
        assert train is not None
        assert test is not None
        parts = [split for split in (train, validation, test) if split is not None]
        mean, std = channel_statistics(train.images)
        return Dataset(
            name="shapes",
            classes=tuple(drawing.FIGURES),
            train=train,
            validation=validation,
            test=test,
            mean=mean,
            std=std,
            fingerprint=combined_digest(
                [digest(array) for split in parts for array in (split.images, split.labels)]
            ),
        )


def _split(seed: int, stream: int, number: int) -> Split | None:
    """The first images of a stream, or None for none."""
    if number == 0:
        return None
    images = np.empty((number, SIZE, SIZE, 3), np.uint8)
    labels = np.empty(number, np.int32)
    for start in range(0, number, BLOCK):
        sequence = np.random.SeedSequence(seed, spawn_key=(stream, start // BLOCK))
        block = drawing.draw(np.random.Generator(np.random.PCG64(sequence)), BLOCK, SIZE)
        stop = min(start + BLOCK, number)
        images[start:stop], labels[start:stop] = (array[: stop - start] for array in block)
    return Split(images, labels)

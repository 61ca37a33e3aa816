"""What a plan needs to know of its data."""

from __future__ import annotations

import dataclasses

import numpy as np

from cnn_jax.data import Dataset


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """The facts about the data that a plan needs. A run stores them, to be restored without data.

    Attributes:
      name: Name under which results are recorded.
      classes: The class names.
      image_shape: Height, width and channels of an image.
      mean: Mean of each channel, pixels scaled to 0..1.
      std: Standard deviation of each channel, pixels scaled to 0..1.
      train: Number of training images.
      validation: Number of validation images; 0: none.
      test: Number of test images.
      fingerprint: Digest of the content.
      class_counts: Number of training images of each class; () for a run recorded before this
        field existed.
      streamed: Whether images are decoded when they are needed, and not kept in memory.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: int
    validation: int
    test: int
    fingerprint: str
    # The digest of a teacher hashes the repr of its facts, and digests recorded before stay valid.
    # `fingerprint` covers the labels.
    class_counts: tuple[int, ...] = dataclasses.field(default=(), repr=False)
    streamed: bool = dataclasses.field(default=False, repr=False)

    @classmethod
    def of(cls, data: Dataset) -> DataFacts:
        """Returns the facts of a data set."""
        return cls(
            name=data.name,
            classes=data.classes,
            image_shape=data.image_shape,
            mean=data.mean,
            std=data.std,
            train=len(data.train),
            validation=len(data.validation) if data.validation else 0,
            test=len(data.test),
            fingerprint=data.fingerprint,
            class_counts=tuple(np.bincount(data.train.labels, minlength=data.num_classes).tolist()),
            streamed=not isinstance(data.train.images, np.ndarray),
        )

    @property
    def num_classes(self) -> int:
        return len(self.classes)

"""Defines Absent, a data set of which only the sizes are known, to plan with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnn_jax.data.dataset import DataInvalid, Dataset, Split
from cnn_jax.data.pictures.picture_form import Part, PictureForm
from cnn_jax.data.pictures.streamed_images import StreamedImages
from cnn_jax.ranges import Checked, NonNegative, Positive


@dataclass(frozen=True)
class Absent(Checked):
    """A data set that is not here: --dry_run and --mode=volumes need its sizes alone.

    Images come with each step, as those of `Folder(stream=True)`. Training refuses it.

    Attributes:
      train: Number of training images, in classes of equal sizes.
      validation: Number of validation images; 0: none.
      test: Number of test images.
      size: Height and width of the images, in pixels.
      classes: Number of classes.
    """

    train: Positive[int] = 1_281_167
    validation: NonNegative[int] = 0
    test: Positive[int] = 50_000
    size: Positive[int] = 224
    classes: Positive[int] = 1000

    def resolve(self, data_dir: str | None = None) -> tuple[Absent, str]:
        """Returns this config and an empty note."""
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Returns labels, and images that can't be read."""
        return Dataset(
            name="absent",
            classes=tuple(f"class {number}" for number in range(self.classes)),
            train=self._split(self.train),
            validation=self._split(self.validation) if self.validation else None,
            test=self._split(self.test),
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            fingerprint="absent",
        )

    def _split(self, number: int) -> Split:
        form = PictureForm(self.size, self.size)
        labels = np.arange(number, dtype=np.int32) % self.classes
        return Split(StreamedImages(_Nowhere(number), form), labels)


class _Nowhere:
    """Pictures that are not there."""

    def __init__(self, number: int):
        self._number = number

    def __len__(self) -> int:
        return self._number

    def read(self, number: int, form: PictureForm, part: Part | None = None) -> np.ndarray:
        raise DataInvalid("Absent has no images: it is for --dry_run and --mode=volumes")

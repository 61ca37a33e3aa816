"""Images that are decoded when they are needed, indexed like an array u8[N,H,W,C]."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from typing import Any, Protocol

import numpy as np

from cnn_jax.data.dataset import DataInvalid
from cnn_jax.data.memory_check import check_memory
from cnn_jax.data.pictures.decoding import in_threads
from cnn_jax.data.pictures.image_files import BadImage
from cnn_jax.data.pictures.picture_form import Part, PictureForm
from cnn_jax.data.pictures.random_resized_crop import RandomResizedCrop


class Pictures(Protocol):
    """Numbered pictures in storage. Worker processes get a copy, so it can be pickled."""

    def __len__(self) -> int: ...

    def read(self, number: int, form: PictureForm, part: Part | None = None) -> np.ndarray:
        """Decodes a picture, u8[H,W,C]; may be called in several threads.

        Args:
          number: Its number.
          form: The form of the result.
          part: Chooses a part of the picture; None: as the form says.

        Raises:
          BadImage: It can't be read.
        """


class StreamedImages:
    """Images that are decoded each time they are needed.

    They are indexed like an array, by a number, a slice or an array of numbers, and `np.asarray`
    decodes all of them.

    Args:
      pictures: The pictures.
      form: The form into which they are brought.
      crop: What training does instead of the form's `fit`; None: nothing else.

    Attributes:
      pictures, form, crop: The arguments.
      dtype: uint8.
      ndim: 4.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(
        self, pictures: Pictures, form: PictureForm, crop: RandomResizedCrop | None = None
    ):
        self.pictures, self.form, self.crop = pictures, form, crop

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of images, height, width, channels."""
        return len(self.pictures), *self.form.shape

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: Any) -> np.ndarray:
        numbers = np.arange(len(self))[index]
        with contextlib.closing(self._decoded(np.atleast_1d(numbers))) as decoded:
            images = self._stacked(decoded, np.size(numbers))
        return images if np.ndim(numbers) else images[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return self._decoded(np.arange(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("images that are streamed can't be had without a copy")
        check_memory("the streamed images", *self.shape[:1], self.form.shape)
        return self[:] if dtype is None else self[:].astype(dtype)

    def batches(self, numbers: np.ndarray, size: int) -> Generator[np.ndarray]:
        """Yields u8[n,H,W,C], the images of these numbers i[N]; n = `size` in all but the last.

        The images are decoded ahead of the caller. Close the generator, or exhaust it.
        """
        with contextlib.closing(self._decoded(numbers)) as decoded:
            for start in range(0, len(numbers), size):
                yield self._stacked(decoded, min(size, len(numbers) - start))

    def _stacked(self, decoded: Iterator[np.ndarray], number: int) -> np.ndarray:
        images = np.empty((number, *self.form.shape), np.uint8)
        for place in range(number):
            images[place] = next(decoded)
        return images

    def _decoded(self, numbers: np.ndarray) -> Generator[np.ndarray]:
        def one(number: int) -> np.ndarray:
            try:
                return self.pictures.read(number, self.form)
            except BadImage as error:
                raise unreadable(error) from error

        return in_threads(one, numbers.tolist(), self.form)


def unreadable(error: BadImage) -> DataInvalid:
    """The error for a picture that could be read when the data set was first used."""
    return DataInvalid(f"{error}; it has changed since it was first read: restore it")

"""The two ways to keep a folder's pictures: decoded in memory, or in their files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cnn_jax.data.dataset import Images, channel_sums, digest
from cnn_jax.data.memory_check import check_memory
from cnn_jax.data.pictures.class_folders import Picture
from cnn_jax.data.pictures.image_files import decode
from cnn_jax.data.pictures.picture_cache import PictureCache, Row
from cnn_jax.data.pictures.picture_form import Part, PictureForm
from cnn_jax.data.pictures.picture_index import PictureIndex, Seen, digests
from cnn_jax.data.pictures.random_resized_crop import RandomResizedCrop
from cnn_jax.data.pictures.streamed_images import StreamedImages


class Store(Protocol):
    """Keeps the pictures of a folder, once `read` has found which ones can be read."""

    def read(self, root: Path, pictures: Sequence[Picture]) -> Sequence[Row | Seen | str]:
        """Decodes pictures that were not decoded before; returns why one can't be read, or not."""

    def images(self, pictures: Sequence[Picture], *, training: bool = False) -> Images:
        """The images of these pictures."""

    def prints(self, pictures: Sequence[Picture], images: Any) -> np.ndarray:
        """u8[N,...], equal for pictures that are equal, given their `images`."""

    def digest(self, pictures: Sequence[Picture]) -> str:
        """The digest of the pixels of pictures in this order; `images` was asked for all."""

    def sums(self, pictures: Sequence[Picture], images: Any) -> np.ndarray:
        """i64[2,C], as `dataset.channel_sums`, of these pictures, given their `images`."""


class InMemory:
    """Keeps decoded pictures in memory, and in a cache on disk for the next start."""

    def __init__(self, folder: Path, form: PictureForm):
        self._cache, self._form = PictureCache(folder, form), form
        self._row: dict[str, Row] = {}
        self._image: dict[str, np.ndarray] = {}

    def read(self, root: Path, pictures: Sequence[Picture]) -> Sequence[Row | str]:
        check_memory(str(root), len(pictures), self._form.shape)
        found = self._cache.read(root, pictures)
        for picture, row in zip(pictures, found, strict=True):
            if isinstance(row, Row):
                self._row[picture.name] = row
        return found

    def images(self, pictures: Sequence[Picture], *, training: bool = False) -> np.ndarray:
        del training
        images = self._cache.gather([self._row[picture.name] for picture in pictures])
        self._image |= dict(zip((picture.name for picture in pictures), images, strict=True))
        return images

    def prints(self, pictures: Sequence[Picture], images: Any) -> np.ndarray:
        del pictures
        return images

    def digest(self, pictures: Sequence[Picture]) -> str:
        digest = hashlib.sha256()
        for picture in pictures:
            digest.update(self._image[picture.name].data)
        return digest.hexdigest()

    def sums(self, pictures: Sequence[Picture], images: Any) -> np.ndarray:
        del pictures
        return channel_sums(images)


class InFiles:
    """Leaves pictures in their files; an index on disk remembers what they are.

    Args:
      index: The index.
      form: The form of the pictures.
      crop: What training does with a picture; None: as the form says.
    """

    def __init__(self, index: Path, form: PictureForm, crop: RandomResizedCrop | None):
        self._index, self._form, self._crop = PictureIndex(index, form), form, crop
        self._seen: dict[str, Seen] = {}

    def read(self, root: Path, pictures: Sequence[Picture]) -> Sequence[Seen | str]:
        found = self._index.read(root, pictures)
        for picture, seen in zip(pictures, found, strict=True):
            if isinstance(seen, Seen):
                self._seen[picture.name] = seen
        return found

    def images(self, pictures: Sequence[Picture], *, training: bool = False) -> StreamedImages:
        crop = self._crop if training else None
        files = PictureFiles([picture.path for picture in pictures])
        return StreamedImages(files, self._form, crop)

    def prints(self, pictures: Sequence[Picture], images: Any = None) -> np.ndarray:
        del images
        return digests([self._seen[picture.name] for picture in pictures])

    def digest(self, pictures: Sequence[Picture]) -> str:
        return digest(self.prints(pictures))

    def sums(self, pictures: Sequence[Picture], images: Any) -> np.ndarray:
        del images
        return np.sum([self._seen[picture.name].sums for picture in pictures], axis=0)


class PictureFiles:
    """Picture files by number, as `streamed_images.Pictures`; a million paths take 100 MB."""

    def __init__(self, paths: Sequence[Path]):
        names = [os.fsencode(path) for path in paths]
        self._ends = np.cumsum([len(name) for name in names])
        self._names = b"".join(names)

    def __len__(self) -> int:
        return len(self._ends)

    def read(self, number: int, form: PictureForm, part: Part | None = None) -> np.ndarray:
        start = self._ends[number - 1] if number else 0
        path = os.fsdecode(self._names[start : self._ends[number]])
        return decode(path, form, part=part, verify=False).image

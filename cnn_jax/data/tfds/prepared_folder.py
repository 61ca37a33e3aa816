"""Reads the folders that TensorFlow Datasets (TFDS) has prepared, without TensorFlow.

This module, `tfds_examples` and `preparing` alone import `tensorflow_datasets`, in the
functions that need it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.arrays import aligned_empty
from cnn_jax.data.dataset import DataInvalid, channel_sums
from cnn_jax.data.pictures.decoding import in_threads
from cnn_jax.data.pictures.image_files import BadImage, decode_bytes
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.data.tfds.errors import explained, quiet
from cnn_jax.data.tfds.examples import PreparedPictures, array_records, features_of
from cnn_jax.data.tfds.tfrecord import read_records
from cnn_jax.errors import first_line, shape_text, some
from cnn_jax.terminal.console import RunConsole
from cnn_jax.terminal.timed_progress import TimedProgress

# The formats that are read.
FORMATS = ("array_record", "tfrecord")
# A first estimate of the seconds of a core for each example of a small image.
SECONDS = 1e-4


class Feature(NamedTuple):
    """A feature of the examples of a TFDS folder.

    Attributes:
      kind: Its class in TFDS: "Image", "ClassLabel", ...
      shape: Its shape; None for a dimension that differs between examples.
      dtype: Name of its dtype.
      classes: Class names of a ClassLabel, in the order of the labels.
    """

    kind: str
    shape: tuple[int | None, ...]
    dtype: str
    classes: tuple[str, ...] = ()


class PreparedFolder:
    """A folder `NAME/[CONFIG/]VERSION` that TFDS has prepared, as array_record or tfrecord.

    Attributes:
      folder: The folder.
      name: The set's name in TFDS, with its config if any.
      features: The features of its examples, by name.
      splits: The number of examples of each split.
      supervised: Names of the input and the target that TFDS declares; () if it declares none.

    Raises:
      DataInvalid: The folder has another format, or its description can't be read.
    """

    def __init__(self, folder: Path):
        import tensorflow_datasets as tfds

        self.folder = folder
        with explained(folder):
            stated = json.loads((folder / "dataset_info.json").read_bytes())
            # Old versions of TFDS knew one format, and did not state it.
            self.format = str(stated.get("fileFormat") or "tfrecord")
        if self.format not in FORMATS:
            raise DataInvalid(
                f"{folder} is in the format {self.format}; {' and '.join(FORMATS)} can be read: "
                "prepare it in one of these, in another folder"
            )
        with explained(folder), quiet():
            self._info = tfds.builder_from_directory(folder).info
            self.name = self._info.full_name.rpartition("/")[0]
            features: Mapping[str, Any] = dict(sorted(self._info.features.items()))
            self.features = {name: _feature(feature) for name, feature in features.items()}
            self.splits = {
                name: int(split.num_examples) for name, split in self._info.splits.items()
            }
            keys = self._info.supervised_keys or ()
        self.supervised = tuple(key for key in keys[:2] if isinstance(key, str))

    def number(self, split: str) -> int:
        """Number of examples of a split or a part of one: "train", "train[:80%]", "train+test".

        Raises:
          DataInvalid: There is no such split.
        """
        return int(self._split(split).num_examples)

    def files(self, splits: Iterable[str]) -> list[list[Any]]:
        """Name, size in bytes and time of the last change in ns of each file of these splits.

        Raises:
          DataInvalid: A file is missing.
        """
        paths = {Path(part.filename) for s in splits for part in self._split(s).file_instructions}
        found = []
        for path in sorted(paths):
            with explained(path):
                stamp = path.stat()
                found.append([path.name, stamp.st_size, stamp.st_mtime_ns])
        return found

    def read(
        self, split: str, form: PictureForm, image: str = "image", label: str = "label"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decodes the examples of a split, in the order of `tfds.data_source`.

        Args:
          split: A split, or a part of one.
          form: The form into which images are brought.
          image: Name of the image feature.
          label: Name of the label feature.

        Returns:
          u8[N,H,W,C] and i32[N].

        Raises:
          DataInvalid: A file can't be read, a checksum is wrong, or an example is no such image.
        """
        images = aligned_empty((self.number(split), *form.shape), np.uint8)

        def keep(number: int, decoded: np.ndarray) -> None:
            images[number] = decoded

        return images, self._decode(split, form, image, label, keep)

    def look_through(
        self, split: str, form: PictureForm, image: str = "image", label: str = "label"
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Decodes the examples like `read`, but does not keep them.

        Returns:
          Labels i32[N], the SHA-256 of each image u8[N,32], and its sums i64[N,2,C], as
          `dataset.channel_sums`.
        """
        number = self.number(split)
        digests = np.empty((number, 32), np.uint8)
        sums = np.empty((number, 2, form.channels), np.int64)

        def keep(number: int, decoded: np.ndarray) -> None:
            digests[number] = np.frombuffer(hashlib.sha256(decoded.data).digest(), np.uint8)
            sums[number] = channel_sums(decoded)

        return self._decode(split, form, image, label, keep), digests, sums

    def pictures(self, split: str, image: str = "image") -> PreparedPictures:
        """The images of a split, each to be read when it is needed.

        Raises:
          DataInvalid: The folder's format has no random access.
        """
        if self.format != "array_record":
            raise DataInvalid(
                f"{self.folder} is in the format {self.format}, which has no random access: set "
                "stream=False, or prepare it as array_record, in another folder"
            )
        return PreparedPictures(self._split(split).file_instructions, split, image)

    def _decode(
        self,
        split: str,
        form: PictureForm,
        image: str,
        label: str,
        keep: Callable[[int, np.ndarray], None],
    ) -> np.ndarray:
        """Decodes each image of a split for `keep`, given its number; returns the labels i32[N]."""
        number = self.number(split)
        height, width = self.features[image].shape[:2]

        def decoded(example: tuple[int, bytes, int]) -> int | BadImage:
            place, content, label = example
            name = f"{split} example {place}"
            try:
                found = decode_bytes(content, name, form)
            except BadImage as error:
                return error
            size = (found.height, found.width)
            if height and width and size != (height, width):
                should = shape_text((height, width))
                return BadImage(f"{name} is {shape_text(size)}, and should be {should}")
            if place < number:
                keep(place, found.image)
            return label

        labels: np.ndarray = np.empty(number, np.int32)
        read = 0
        with (
            TimedProgress(number * SECONDS, RunConsole(stderr=True)) as progress,
            contextlib.closing(self._examples(split, image, label)) as examples,
            contextlib.closing(in_threads(decoded, examples, form)) as results,
        ):
            for result in results:
                if isinstance(result, BadImage):
                    raise DataInvalid(f"{self.folder}: {result}") from result
                if read < number:
                    labels[read] = result
                read += 1
                progress.done(SECONDS, f"{read:,} of {number:,} images")
        if read != number:
            raise DataInvalid(
                f"{self.folder}: {split} has {read:,} examples, and dataset_info.json states "
                f"{number:,}: a file is cut short or of another preparation"
            )
        return labels

    def _split(self, split: str) -> Any:
        try:
            return self._info.splits[split]
        except Exception as error:  # TFDS raises KeyError, ValueError and its own
            raise DataInvalid(
                f"{self.folder} has no split {split!r} ({first_line(error)}): it has "
                f"{some(list(self.splits))}"
            ) from error

    def _examples(self, split: str, image: str, label: str) -> Generator[tuple[int, bytes, int]]:
        """Yields the number, the encoded image and the label of each example."""
        number = itertools.count()
        for path, record in self._records(split):
            with explained(path):
                features = features_of(record)
                content = features[image].bytes_list.value[0]
                yield next(number), content, features[label].int64_list.value[0]

    def _records(self, split: str) -> Iterator[tuple[Path, bytes]]:
        """Yields each record, and the file that it is in."""
        for part in self._split(split).file_instructions:
            path = Path(part.filename)
            with explained(path):
                open(path, "rb").close()  # names a missing file, or one without permission
                if self.format == "tfrecord":
                    for record in read_records(path, part.skip, part.skip + part.take):
                        yield path, record
                    continue
                yield from ((path, record) for record in array_records(part))


def _feature(feature: Any) -> Feature:
    names = getattr(feature, "names", None) or ()
    if not names and getattr(feature, "num_classes", None):
        names = map(str, range(feature.num_classes))
    dtype = feature.np_dtype if hasattr(feature, "np_dtype") else ""
    shape = getattr(feature, "shape", None)
    return Feature(
        type(feature).__name__,
        tuple(shape) if isinstance(shape, tuple) else (),
        str(np.dtype(dtype)) if dtype else "",
        tuple(names),
    )

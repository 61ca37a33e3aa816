"""Reads the examples in the files of a folder that TFDS has prepared."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.pictures.image_files import decode_bytes
from cnn_jax.data.pictures.picture_form import Part, PictureForm
from cnn_jax.data.tfds.errors import explained


class PreparedPictures:
    """The images of a split of a TFDS folder, as `streamed_images.Pictures`.

    Args:
      files: Its array_record files, as TFDS's file instructions.
      split: Its name, for messages.
      image: Name of the image feature.
    """

    def __init__(self, files: Sequence[Any], split: str, image: str):
        self._files, self._split, self._image = list(files), split, image
        self._number = sum(part.take for part in files)

    def __len__(self) -> int:
        return self._number

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_source"}

    @functools.cached_property
    def _source(self) -> Any:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        return ArrayRecordDataSource(self._files)

    def read(self, number: int, form: PictureForm, part: Part | None = None) -> np.ndarray:
        """Decodes an image; raises BadImage or DataInvalid if it can't be read."""
        with explained(Path(self._files[0].filename).parent):
            content = features_of(self._source[number])[self._image].bytes_list.value[0]
        return decode_bytes(content, f"{self._split} example {number}", form, part).image


def features_of(record: bytes) -> Any:
    """The features of an example by name, from its record: a message of TensorFlow's."""
    from tensorflow_datasets.proto import tf_example_pb2

    return tf_example_pb2.Example.FromString(record).features.feature


def array_records(part: Any) -> Iterator[bytes]:
    """Yields the records of a part of an array_record file, given as TFDS's file instruction."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    with ArrayRecordDataSource([part]) as source:
        for start in range(0, len(source), 1000):
            yield from source.__getitems__(range(start, min(start + 1000, len(source))))

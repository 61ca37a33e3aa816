"""Data sets in the standard folder of TensorFlow Datasets, read and prepared without TensorFlow.

The only file that imports `tensorflow_datasets`, and only inside the functions that need it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.arrays import remove_leftovers, writable
from cnn_jax.data.dataset import DataInvalid, DataUnavailable
from cnn_jax.data.originals import AGAIN, Examples, verify
from cnn_jax.data.source import Source
from cnn_jax.errors import UserError, first_line
from cnn_jax.storage.files import locked

# What is read; a prepared folder may have more splits.
SPLITS = ("train", "test")


def read(source: Source, data_dir: Path) -> dict[str, np.ndarray]:
    """Decodes a prepared folder, in the order of `tfds.data_source`.

    Args:
      source: The data set.
      data_dir: The TFDS folder; `NAME/VERSION` in it was prepared as array_record.

    Returns:
      {train,test}_images u8[N,H,W,C] and {train,test}_labels i32[N].

    Raises:
      DataInvalid: the files are damaged, in another format, or hold something else.
    """
    import tensorflow_datasets as tfds

    arrays = {}
    try:
        with _quiet():
            for split in SPLITS:
                records: Any = tfds.data_source(
                    f"{source.name}:{source.version}",
                    split=split,
                    data_dir=data_dir,
                    download=False,
                )
                images, labels = _decoded(source, split, records)
                arrays[f"{split}_images"], arrays[f"{split}_labels"] = images, labels
    except Exception as error:
        raise DataInvalid(
            f"{source.folder(data_dir)} cannot be read as array_record ({first_line(error)}): "
            "delete it and start again"
        ) from error
    return arrays


def _decoded(source: Source, split: str, records: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; a ValueError where they are not those of the data set."""
    size, shape = source.sizes[split], source.image_shape
    if len(records) != size:
        raise ValueError(f"{split} has {len(records)} examples and not {size}")
    classes = records.dataset_info.features["label"].num_classes
    if classes != len(source.classes):
        raise ValueError(f"there are {classes} classes and not {len(source.classes)}")
    images: np.ndarray = np.empty((size, *shape), np.uint8)
    labels: np.ndarray = np.empty(size, np.int32)
    for start in range(0, size, 1000):
        examples = records.__getitems__(range(start, min(start + 1000, size)))
        for place, example in enumerate(examples, start):
            image = example["image"]
            if image.shape != shape or image.dtype != np.uint8:
                raise ValueError(f"a {split} image is {image.dtype}{list(image.shape)}")
            images[place], labels[place] = image, example["label"]
    return images, labels


def read_test(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images u8[N,H,W,C] and labels i32[N] of the test split of any prepared folder.

    Args:
      folder: `NAME/CONFIG/VERSION`, prepared as array_record.

    Raises:
      DataInvalid: the files are damaged or in another format.
    """
    import tensorflow_datasets as tfds

    try:
        with _quiet():
            records: Any = tfds.builder_from_directory(folder).as_data_source("test")
            examples = records.__getitems__(range(len(records)))
        images = np.stack([np.asarray(example["image"], np.uint8) for example in examples])
        return images, np.array([example["label"] for example in examples], np.int32)
    except Exception as error:
        raise DataInvalid(
            f"{folder} cannot be read as array_record ({first_line(error)})"
        ) from error


def prepare(source: Source, data_dir: Path | str, originals: Path | str | None = None) -> None:
    """Writes the standard TFDS folder `NAME/VERSION` as array_record; returns if it is there.

    Processes that call it at once do it once. What an interrupted one left is removed by the next.

    Args:
      source: The data set.
      data_dir: The TFDS folder.
      originals: A folder that holds the original files; they are downloaded if None.

    Raises:
      DataUnavailable: the folder cannot be written, or the originals cannot be downloaded.
      DataInvalid: the files at hand are not the originals.
    """
    root = Path(data_dir).expanduser()
    place = source.folder(root)
    if not writable(place.parent):
        raise DataUnavailable(
            f"{place.parent} must be writable to prepare {source.title} in it: make it so, or "
            "choose another folder by --data_dir or TFDS_DATA_DIR"
        )
    with locked(place.parent / f".{source.version}.lock"):
        if source.prepared(root):
            return
        remove_leftovers(place.parent, "incomplete.")
        if place.exists():
            if any(not item.name.startswith(".") for item in place.iterdir()):
                raise DataInvalid(
                    f"{place} exists but was not prepared whole: delete it and start again"
                )
            shutil.rmtree(place)
        try:
            _generate(source, root, None if originals is None else Path(originals))
        except Exception as error:
            if originals is not None and isinstance(error, UserError):
                raise
            files = ", ".join(original.name for original in source.originals)
            raise DataUnavailable(
                f"{source.title} could not be prepared in {root} ({first_line(error)}): put "
                f"{files} into {source.manual_folder(root)}, or name a prepared folder by "
                "--data_dir"
            ) from error


def _generate(source: Source, data_dir: Path, originals: Path | None) -> None:
    """Has TFDS write the folder, from the originals at hand or else downloaded."""
    import tensorflow_datasets as tfds
    from PIL import Image
    from tensorflow_datasets.core import registered

    stock: Any = tfds.builder_cls(source.name)
    with registered.skip_registration():

        class Builder(stock):
            """The stock builder, less its reading and encoding by TensorFlow."""

            name = source.name

            def _split_generators(self, dl_manager):
                paths = {}
                for original in source.originals:
                    if originals is not None:
                        path = originals / original.name
                    else:
                        path = Path(dl_manager.download(original.url))
                    verify(path, original.sha256)
                    paths[original.name] = path
                for label, names in source.names.items():
                    self.info.features[label].names = list(names)
                return {split: self._examples(split, paths) for split in source.sizes}

            def _examples(self, split: str, paths: Mapping[str, Path]):
                images, labels = _checked(source, split, paths)
                for index, image in enumerate(images):
                    pixels = image[..., 0] if image.shape[-1] == 1 else image
                    example: dict[str, Any] = {
                        name: int(values[index]) for name, values in labels.items()
                    }
                    if source.id_digits:
                        example["id"] = f"{split}_{index:0{source.id_digits}d}"
                    example["image"] = Image.fromarray(np.ascontiguousarray(pixels))
                    yield index, example

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with _quiet(), contextlib.redirect_stdout(io.StringIO()):
        builder = Builder(data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare(file_format="array_record")


def _checked(source: Source, split: str, paths: Mapping[str, Path]) -> Examples:
    """The examples of a split of the originals, which are as many as they should be, and so on."""
    examples = source.read(paths, split)
    images, labels = examples.images, examples.labels["label"]
    where = ", ".join(map(str, paths.values()))
    size, classes = source.sizes[split], len(source.classes)
    for number in (len(images), len(labels)):
        if number != size:
            raise DataInvalid(f"{where} holds {number} {split} examples and not {size}: {AGAIN}")
    if images.shape[1:] != source.image_shape:
        raise DataInvalid(
            f"{where} holds images of the shape {images.shape[1:]} and not {source.image_shape}: "
            f"{AGAIN}"
        )
    if labels.max() >= classes:
        first = int(np.argmax(labels >= classes))
        raise DataInvalid(
            f"{where}: the label of {split} example {first} is {labels[first]}, "
            f"must be in 0..{classes - 1}"
        )
    return examples


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what TFDS logs below an error (OpenCV would be faster, ...) out of the user's sight."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

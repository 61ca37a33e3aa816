"""Reads and prepares the standard folders of TensorFlow Datasets, without TensorFlow.

No other module imports `tensorflow_datasets`; this one does so inside the functions that need it.
"""

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

# The splits that are read; a prepared folder may have more.
SPLITS = ("train", "test")


def read(source: Source, data_dir: Path) -> dict[str, np.ndarray]:
    """Decodes a prepared folder, in the order of `tfds.data_source`.

    Args:
      source: The data set.
      data_dir: The TFDS folder, with `NAME/VERSION` prepared as array_record.

    Returns:
      {train,test}_images u8[N,H,W,C] and {train,test}_labels i32[N].

    Raises:
      DataInvalid: The files are damaged, in another format, or of another data set.
    """
    import tensorflow_datasets as tfds

    arrays = {}
    with _reading(source.folder(data_dir)):
        for split in SPLITS:
            records: Any = tfds.data_source(
                f"{source.name}:{source.version}", split=split, data_dir=data_dir, download=False
            )
            arrays[f"{split}_images"], arrays[f"{split}_labels"] = _decoded(source, split, records)
    return arrays


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Converts any error of the block to a DataInvalid for this folder."""
    try:
        with _quiet():
            yield
    except Exception as error:
        raise DataInvalid(
            f"{folder} cannot be read as array_record ({first_line(error)}): delete it and prepare "
            "it again"
        ) from error


def _decoded(source: Source, split: str, records: Any) -> tuple[np.ndarray, np.ndarray]:
    """Decodes images and labels of a split; raises ValueError if they are not the data set's."""
    size, shape = source.sizes[split], source.image_shape
    if len(records) != size:
        raise ValueError(f"{split} has {len(records)} examples instead of {size}")
    classes = records.dataset_info.features["label"].num_classes
    if classes != len(source.classes):
        raise ValueError(f"there are {classes} classes instead of {len(source.classes)}")
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
    """Reads images u8[N,H,W,C] and labels i32[N] of the test split of any prepared folder.

    Args:
      folder: `NAME/CONFIG/VERSION`, prepared as array_record.

    Raises:
      DataInvalid: The files are damaged or in another format.
    """
    import tensorflow_datasets as tfds

    with _reading(folder):
        records: Any = tfds.builder_from_directory(folder).as_data_source("test")
        examples = records.__getitems__(range(len(records)))
        images = np.stack([np.asarray(example["image"], np.uint8) for example in examples])
        labels = np.array([example["label"] for example in examples], np.int32)
    return images, labels


def prepare(source: Source, data_dir: Path | str, originals: Path | str | None = None) -> None:
    """Writes the standard TFDS folder `NAME/VERSION` as array_record, unless it exists.

    Of several concurrent processes, one prepares the folder while the others wait. Leftovers of an
    interrupted process are removed.

    Args:
      source: The data set.
      data_dir: The TFDS folder.
      originals: A folder that contains the original files; None: they are downloaded.

    Raises:
      DataUnavailable: The folder cannot be written, or the originals cannot be downloaded.
      DataInvalid: The given files are not the originals.
    """
    root = Path(data_dir).expanduser()
    place = source.folder(root)
    if not writable(place.parent):
        raise DataUnavailable(
            f"{place.parent} must be writable to prepare {source.title} in it: make it so, or "
            "choose another folder with --data_dir or TFDS_DATA_DIR"
        )
    with locked(place.parent / f".{source.version}.lock"):
        if source.prepared(root):
            return
        remove_leftovers(place.parent, "incomplete.")
        if place.exists():
            if any(not item.name.startswith(".") for item in place.iterdir()):
                raise DataInvalid(
                    f"{place} exists but was not prepared completely: delete it and start again"
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
                f"{files} into {source.manual_folder(root)}, or name a prepared folder "
                "with --data_dir"
            ) from error


def _generate(source: Source, data_dir: Path, originals: Path | None) -> None:
    """Writes the folder with TFDS, from the given originals or else from downloaded ones."""
    import tensorflow_datasets as tfds
    from PIL import Image
    from tensorflow_datasets.core import registered

    stock: Any = tfds.builder_cls(source.name)
    with registered.skip_registration():

        class Builder(stock):
            """The TFDS builder without its use of TensorFlow for reading and encoding."""

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
    """Reads a split of the originals; checks number, shape and labels of the examples."""
    examples = source.read(paths, split)
    images, labels = examples.images, examples.labels["label"]
    where = ", ".join(map(str, paths.values()))
    size, classes = source.sizes[split], len(source.classes)
    for number in (len(images), len(labels)):
        if number != size:
            raise DataInvalid(f"{where} has {number} {split} examples instead of {size}: {AGAIN}")
    if images.shape[1:] != source.image_shape:
        raise DataInvalid(
            f"{where} has images of shape {images.shape[1:]} instead of {source.image_shape}: "
            f"{AGAIN}"
        )
    if labels.max() >= classes:
        first = int(np.argmax(labels >= classes))
        raise DataInvalid(
            f"{where}: the label of {split} example {first} is {labels[first]}, "
            f"must be in 0..{classes - 1}: {AGAIN}"
        )
    return examples


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides TFDS log messages below errors, such as that OpenCV would be faster."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

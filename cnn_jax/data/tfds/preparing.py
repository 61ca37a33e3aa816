"""Prepares data sets as TensorFlow Datasets does, in array_record, without TensorFlow."""

import contextlib
import io
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.arrays import remove_leftovers, writable
from cnn_jax.data.dataset import DataInvalid, DataUnavailable
from cnn_jax.data.downloads.download import download
from cnn_jax.data.downloads.originals import AGAIN, Examples, verify
from cnn_jax.data.downloads.source import Source
from cnn_jax.data.tfds.errors import quiet
from cnn_jax.errors import UserError, first_line
from cnn_jax.storage.files import locked

# The folder for downloads, beside that of the version.
DOWNLOADS = "downloads.incomplete"


def prepare(source: Source, data_dir: Path | str, originals: Path | str | None = None) -> None:
    """Writes a TFDS folder `NAME/VERSION` as array_record, unless it exists.

    Of several concurrent processes, one prepares the folder while the others wait. Leftovers of an
    interrupted process are removed.

    Args:
      source: The data set.
      data_dir: The folder in which `NAME/VERSION` is made.
      originals: A folder that contains the original files; None: they are downloaded, and removed
        when they have been read.

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
        remove_leftovers(place.parent, DOWNLOADS)
        if place.exists():
            if any(not item.name.startswith(".") for item in place.iterdir()):
                raise DataInvalid(
                    f"{place} exists but was not prepared completely: delete it and start again"
                )
            shutil.rmtree(place)
        downloads = place.parent / DOWNLOADS
        try:
            if originals is None:
                downloads.mkdir(parents=True)
                for original in source.originals:
                    download(original, downloads)
            _generate(source, root, Path(originals or downloads), downloads)
        except UserError:
            raise
        except Exception as error:
            raise DataUnavailable(f"{root} cannot be prepared ({first_line(error)})") from error
        finally:
            shutil.rmtree(downloads, ignore_errors=True)


def _generate(source: Source, data_dir: Path, originals: Path, downloads: Path) -> None:
    """Writes the folder with TFDS from the originals; `downloads` is a folder for TFDS to use."""
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
                    path = originals / original.name
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
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        builder = Builder(data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare(file_format="array_record", download_dir=downloads)


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

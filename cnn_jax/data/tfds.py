"""CIFAR-10 in the standard folder of TensorFlow Datasets, read and prepared without TensorFlow.

The only file that imports `tensorflow_datasets`, and only inside the functions that need it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.arrays import remove_leftovers, writable
from cnn_jax.data.dataset import DataInvalid, DataUnavailable
from cnn_jax.files import locked

VERSION = "3.0.2"
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FILES = {
    "train": tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("cifar-10-batches-bin/test_batch.bin",),
}
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIZES = {"train": 50000, "test": 10000}
RECORD = 1 + 32 * 32 * 3


def folder(data_dir: Path) -> Path:
    """Where TFDS keeps this version of CIFAR-10."""
    return data_dir / "cifar10" / VERSION


def prepared(data_dir: Path) -> bool:
    """Whether the folder was prepared; TFDS renames it into place when it is whole."""
    return (folder(data_dir) / "dataset_info.json").exists()


def read(data_dir: Path) -> dict[str, np.ndarray]:
    """Decodes a prepared folder, in the order of `tfds.data_source`.

    Args:
      data_dir: The TFDS folder; `cifar10/3.0.2` in it was prepared as array_record.

    Returns:
      {train,test}_images u8[N,32,32,3] and {train,test}_labels i32[N].

    Raises:
      DataInvalid: the files are damaged or in another format.
    """
    import tensorflow_datasets as tfds

    arrays = {}
    try:
        with _quiet():
            for split, size in SIZES.items():
                source: Any = tfds.data_source(
                    f"cifar10:{VERSION}", split=split, data_dir=data_dir, download=False
                )
                if len(source) != size:
                    raise ValueError(f"{split} has {len(source)} examples and not {size}")
                images: np.ndarray = np.empty((size, 32, 32, 3), np.uint8)
                labels: np.ndarray = np.empty(size, np.int32)
                for start in range(0, size, 1000):
                    stop = min(start + 1000, size)
                    examples = source.__getitems__(range(start, stop))
                    images[start:stop] = [example["image"] for example in examples]
                    labels[start:stop] = [example["label"] for example in examples]
                arrays[f"{split}_images"], arrays[f"{split}_labels"] = images, labels
    except Exception as error:
        raise DataInvalid(
            f"{folder(data_dir)} cannot be read as array_record ({_first_line(error)}): "
            "delete it and start again"
        ) from error
    return arrays


def prepare(data_dir: Path | str, archive: Path | str | None = None) -> None:
    """Writes the standard TFDS folder `cifar10/3.0.2` as array_record; returns if it is there.

    Processes that call it at once do it once. What an interrupted one left is removed by the next.

    Args:
      data_dir: The TFDS folder.
      archive: `cifar-10-binary.tar.gz` at hand; downloaded if None.

    Raises:
      DataUnavailable: the folder cannot be written, or the archive cannot be downloaded.
      DataInvalid: the archive at hand is not the original.
    """
    root = Path(data_dir).expanduser()
    place = folder(root)
    if not writable(place.parent):
        raise DataUnavailable(
            f"{place.parent} must be writable to prepare CIFAR-10 in it: make it so, or choose "
            "another folder by --data_dir or TFDS_DATA_DIR"
        )
    with locked(place.parent / f".{VERSION}.lock"):
        if prepared(root):
            return
        remove_leftovers(place.parent, "incomplete.")
        if place.exists():
            if any(not item.name.startswith(".") for item in place.iterdir()):
                raise DataInvalid(
                    f"{place} exists but was not prepared whole: delete it and start again"
                )
            shutil.rmtree(place)
        content = None if archive is None else read_archive(Path(archive))
        try:
            _generate(root, content)
        except Exception as error:
            raise DataUnavailable(
                f"CIFAR-10 could not be prepared in {root} ({_first_line(error)}): put {ARCHIVE} "
                f"into {manual_folder(root)}, or name a prepared folder by --data_dir"
            ) from error


def manual_folder(data_dir: Path) -> Path:
    """Where TFDS looks for archives that were fetched by hand."""
    return data_dir / "downloads" / "manual"


def read_archive(archive: Path) -> dict[str, np.ndarray]:
    """Reads the original archive straight into memory: nothing is extracted.

    Returns:
      {train,test}_images u8[N,32,32,3] and {train,test}_labels u8[N], in the archive's order.

    Raises:
      DataInvalid: another checksum, a damaged or unsafe archive, or content that is not CIFAR-10.
    """
    again = "delete it and fetch it again"
    try:
        with open(archive, "rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataUnavailable(f"{archive} cannot be read ({error.strerror})") from error
    if checksum != ARCHIVE_SHA256:
        raise DataInvalid(f"{archive} has the SHA-256 {checksum}, not {ARCHIVE_SHA256}: {again}")
    try:
        with tarfile.open(archive, "r:gz") as tar:
            wanted = {name for names in FILES.values() for name in names}
            found = {}
            for member in tar:
                safe = tarfile.data_filter(member, str(archive.parent))
                if safe.name in wanted and (stream := tar.extractfile(member)) is not None:
                    found[safe.name] = stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataInvalid(f"{archive} is damaged ({_first_line(error)}): {again}") from error
    missing = sorted(wanted - found.keys())
    if missing:
        raise DataInvalid(f"{archive} lacks {missing[0]}: {again}")

    arrays = {}
    for split, names in FILES.items():
        records = np.frombuffer(b"".join(found[name] for name in names), np.uint8)
        if records.size != SIZES[split] * RECORD:
            raise DataInvalid(
                f"{archive} holds {records.size / RECORD:g} {split} examples and not "
                f"{SIZES[split]}: {again}"
            )
        records = records.reshape(-1, RECORD)
        labels = records[:, 0]
        if labels.max() >= len(CLASSES):
            first = int(np.argmax(labels >= len(CLASSES)))
            raise DataInvalid(
                f"{archive}: the label of {split} example {first} is {labels[first]}, "
                f"must be in 0..{len(CLASSES) - 1}"
            )
        arrays[f"{split}_labels"] = labels
        arrays[f"{split}_images"] = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return arrays


def _generate(data_dir: Path, content: dict[str, np.ndarray] | None) -> None:
    """Has TFDS write the folder, from the content or from a download whose checksum it verifies."""
    import tensorflow_datasets as tfds
    from PIL import Image
    from tensorflow_datasets.core import registered
    from tensorflow_datasets.image_classification import cifar

    with registered.skip_registration():

        class Cifar10(cifar.Cifar10):
            """The stock builder, less its reading and encoding by TensorFlow."""

            def _split_generators(self, dl_manager):
                arrays = content
                if arrays is None:
                    arrays = read_archive(Path(dl_manager.download(URL)))
                features: Any = self.info.features
                features["label"].names = list(CLASSES)
                return {split: self._examples(split, arrays) for split in SIZES}

            def _examples(self, split: str, arrays: dict[str, np.ndarray]):
                images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
                for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                    yield (
                        index,
                        {
                            "id": f"{split}_{index:05d}",
                            "image": Image.fromarray(np.ascontiguousarray(image)),
                            "label": int(label),
                        },
                    )

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with _quiet(), contextlib.redirect_stdout(io.StringIO()):
        builder = Cifar10(data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare(file_format="array_record")


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


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__

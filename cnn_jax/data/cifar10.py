"""CIFAR-10: where its arrays come from, and how they are cut into training, validation and test."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax import files, folders
from cnn_jax.data import arrays, tfds
from cnn_jax.data.dataset import (
    DataInvalid,
    Dataset,
    DataUnavailable,
    Split,
    combined_digest,
    digest,
)
from cnn_jax.data.probe import why_unreachable

MEAN = (0.49139968, 0.48215841, 0.44653091)
STD = (0.24703223, 0.24348513, 0.26158784)
# SHA-256 of each array, in the order of tfds.data_source. Checking all 184 MB takes 0.10 s at every
# start (BLAKE2b 0.21 s, CRC-32 0.05 s), so a cryptographic digest can be had for nearly nothing.
DIGESTS = {
    "train_images": "edce064d311ff10ab762fda9e9a2522e35b6047a7397bc08883d14886040155f",
    "train_labels": "9fc5c1728bedca7e5b9dd19c8ee4cbfa690ef8a28d27ec06da2171b5ab689748",
    "test_images": "aef295980ffbefb08c680918c4f1644ea2fb00098b92f946394edcbac7f3f82c",
    "test_labels": "dd20de19db146a963f5d0925063cfa376f5645debc422c5854bc35c2196bd898",
}


@dataclass(frozen=True)
class Cifar10:
    """CIFAR-10 (Krizhevsky, 2009): 60,000 colour images of 32x32 pixels in 10 classes.

    Looked for in `data_dir`, or else in `$TFDS_DATA_DIR`, or else in `~/tensorflow_datasets`.
    https://www.cs.toronto.edu/~kriz/cifar.html

    Attributes:
      validation: Number of images cut from the end of the training set to make choices on; 0 for
        none.
      train: Number of training images, the first of what validation leaves; None for all.
      test: Number of test images, the first; None for all.
    """

    validation: int = 5000
    train: int | None = None
    test: int | None = None

    def __post_init__(self) -> None:
        whole, test = tfds.SIZES["train"], tfds.SIZES["test"]
        if not 0 <= self.validation < whole:
            raise ValueError(f"validation must be in 0..{whole - 1}, got {self.validation}")
        most = whole - self.validation
        if self.train is not None and not 1 <= self.train <= most:
            raise ValueError(
                f"train must be None or in 1..{most} ({whole} less validation), got {self.train}"
            )
        if self.test is not None and not 1 <= self.test <= test:
            raise ValueError(f"test must be None or in 1..{test}, got {self.test}")

    def resolve(self, data_dir: str | None = None) -> tuple[Cifar10, str]:
        """Sees to it that the data is at hand, preparing it if need be.

        Returns:
          This config and an empty note.

        Raises:
          DataUnavailable: it is not at hand, and cannot be prepared; within seconds.
          DataInvalid: what is at hand is damaged.
        """
        _provide(_root(data_dir))
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Reads the data, preparing it if need be.

        Args:
          data_dir: The folder of TensorFlow Datasets.

        Raises:
          DataUnavailable: it is not at hand, and cannot be prepared; within seconds.
          DataInvalid: what is at hand is damaged, or is not CIFAR-10.
        """
        held = _load_arrays(_root(data_dir))
        images, labels = held["train_images"], held["train_labels"]
        cut = len(labels) - self.validation
        return Dataset(
            name="cifar10",
            classes=tfds.CLASSES,
            train=Split(images[:cut][: self.train], labels[:cut][: self.train]),
            validation=Split(images[cut:], labels[cut:]) if self.validation else None,
            test=Split(held["test_images"][: self.test], held["test_labels"][: self.test]),
            mean=MEAN,
            std=STD,
            fingerprint=combined_digest(list(DIGESTS.values())),
        )


def _root(data_dir: str | None) -> Path:
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(chosen).expanduser().absolute()


def _arrays_folder(root: Path) -> Path:
    """Where the decoded arrays are, or are to be written."""
    beside = tfds.folder(root) / "arrays"
    if beside.exists() or not tfds.prepared(root) or arrays.writable(beside.parent):
        return beside
    return folders.user_cache() / "cifar10" / tfds.VERSION / "arrays"


def _specifications() -> dict[str, arrays.Specification]:
    return {
        f"{split}_{kind}": ((size, *shape), dtype)
        for split, size in tfds.SIZES.items()
        for kind, shape, dtype in (("images", (32, 32, 3), "uint8"), ("labels", (), "int32"))
    }


def _provide(root: Path) -> None:
    """Prepares the data unless the arrays or the prepared folder are there."""
    if _arrays_folder(root).exists() or tfds.prepared(root):
        return
    archive = tfds.manual_folder(root) / tfds.ARCHIVE
    if archive.exists():
        _say(f"Preparing CIFAR-10 in {root} from {archive}: once, about a minute.")
        tfds.prepare(root, archive)
        return
    reason = why_unreachable(tfds.URL)
    if reason:
        raise DataUnavailable(
            f"CIFAR-10 is not in {root} and cannot be downloaded ({reason}): name a folder that "
            f"holds cifar10/{tfds.VERSION} by --data_dir or TFDS_DATA_DIR, or put {tfds.ARCHIVE} "
            f"({tfds.URL}) into {tfds.manual_folder(root)}"
        )
    _say(f"Downloading CIFAR-10 (170 MB) and preparing it in {root}: once, a few minutes.")
    tfds.prepare(root)


def _load_arrays(root: Path) -> dict[str, np.ndarray]:
    """The checked arrays, from their own files or else from the prepared folder."""
    _provide(root)
    place = _arrays_folder(root)
    held = _cached(root, place)
    if held is not None:
        return held
    if not arrays.writable(place.parent):
        return _decoded(root, f"{place.parent} cannot be written: this is done at every start")
    with files.locked(place.parent / ".arrays.lock"):
        held = _cached(root, place)
        if held is None:
            held = _decoded(root, f"the arrays are kept in {place}")
            try:
                arrays.write(place, held)
            except OSError as error:
                _say(f"{place} could not be written ({error}): the next start decodes again.")
    return held


def _cached(root: Path, place: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a folder, or None where they must be decoded (again)."""
    if not place.exists():
        return None
    try:
        held = arrays.read(place, _specifications())
    except arrays.ArraysDamaged as damage:
        if not tfds.prepared(root) or not arrays.writable(place):
            raise DataInvalid(f"{damage}: delete {place} and start again") from damage
        _say(f"{damage}: decoding CIFAR-10 again.")
        return None
    for name, array in held.items():
        if digest(array) != DIGESTS[name]:
            raise DataInvalid(
                f"{place / name}.npy is not CIFAR-10 in the order of tfds.data_source (wrong "
                f"fingerprint): delete {place} and start again"
            )
    return held


def _decoded(root: Path, note: str) -> dict[str, np.ndarray]:
    """The arrays as decoded from the prepared folder."""
    _say(f"Decoding CIFAR-10 from {tfds.folder(root)} ({note}).")
    held = tfds.read(root)
    for name, array in held.items():
        if digest(array) != DIGESTS[name]:
            raise DataInvalid(
                f"{tfds.folder(root)} does not hold CIFAR-10 ({name} has the wrong fingerprint): "
                "delete it and start again"
            )
    return held


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

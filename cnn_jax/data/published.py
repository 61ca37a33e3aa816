"""Loads a data set of TFDS: finds or prepares it, decodes it once, verifies it at every start."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from cnn_jax import ranges
from cnn_jax.data import arrays
from cnn_jax.data.dataset import (
    DataInvalid,
    Dataset,
    DataUnavailable,
    Split,
    channel_statistics,
    combined_digest,
    digest,
)
from cnn_jax.data.downloads.server_probe import why_unreachable
from cnn_jax.data.downloads.source import Source
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.data.tfds.folders import OURS, data_root
from cnn_jax.data.tfds.prepared_folder import PreparedFolder
from cnn_jax.data.tfds.preparing import prepare
from cnn_jax.errors import shape_text
from cnn_jax.storage import cache_folder

# The splits that are read; a prepared folder may have more.
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Published:
    """Base class of the data sets that come from TensorFlow Datasets (TFDS).

    `DATA_DIR/NAME/VERSION` is read, in any format that TFDS prepares by default. Nothing is written
    there, since other programs read it too: what is prepared here, in a format that they may not
    be able to read, and what is decoded is kept in `DATA_DIR/cnn_jax`.

    Attributes:
      validation: Number of validation images, taken from the end of the training set; 0: none.
      train: Number of training images, from the beginning of the rest; None: all.
      test: Number of test images, from the beginning of the test set; None: all.
    """

    source: ClassVar[Source]

    validation: int = 5000
    train: int | None = None
    test: int | None = None

    def __post_init__(self) -> None:
        train, test = (self.source.sizes[split] for split in SPLITS)
        ranges.within(0, train - 1)(validation=self.validation)
        ranges.within(1, train - self.validation)(train=self.train)
        ranges.within(1, test)(test=self.test)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.source.image_shape

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.source.classes)

    def resolve(self, data_dir: str | None = None) -> tuple[Self, str]:
        """Prepares the data if it is missing.

        Returns:
          This config and an empty note.

        Raises:
          DataUnavailable: The data is missing and cannot be prepared; raised within seconds.
          DataInvalid: The files on disk are damaged.
        """
        _provide(self.source, data_root(data_dir))
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Loads the data, and prepares it first if it is missing.

        Args:
          data_dir: The TFDS folder; see `data_root`.

        Raises:
          DataUnavailable: The data is missing and cannot be prepared; raised within seconds.
          DataInvalid: The files on disk are damaged or contain another data set.
        """
        source, place = self.source, data_root(data_dir)
        _provide(source, place)
        folder = _arrays_folder(source, place)
        cached = arrays.load_or_make(
            folder,
            functools.partial(_cached, source, place, folder),
            functools.partial(_decoded, source, place),
        )
        digests = source.digests or cached.record
        images, labels = cached.arrays["train_images"], cached.arrays["train_labels"]
        test_images, test_labels = cached.arrays["test_images"], cached.arrays["test_labels"]
        if source.mean is not None and source.std is not None:
            mean, std = source.mean, source.std
        else:
            mean, std = channel_statistics(images)
        cut = len(labels) - self.validation
        return Dataset(
            name=source.name,
            classes=source.classes,
            train=Split(images[:cut][: self.train], labels[:cut][: self.train]),
            validation=Split(images[cut:], labels[cut:]) if self.validation else None,
            test=Split(test_images[: self.test], test_labels[: self.test]),
            mean=mean,
            std=std,
            fingerprint=combined_digest([digests[name] for name in cached.arrays]),
        )


def _prepared(source: Source, root: Path) -> Path | None:
    """Returns the prepared folder, or None if there is none; ours first, whose format is known."""
    for place in (root / OURS, root):
        if source.prepared(place):
            return source.folder(place)
    return None


def _arrays_folder(source: Source, root: Path) -> Path:
    """Returns the folder of the decoded arrays: in the data folder, or else in the user's cache."""
    # Earlier versions kept them beside the records.
    beside, ours = (source.folder(place) / "arrays" for place in (root, root / OURS))
    if beside.exists():
        return beside
    if ours.exists() or not _prepared(source, root) or arrays.writable(ours.parent):
        return ours
    return cache_folder.user_cache() / source.name / source.version / "arrays"


def _specifications(source: Source) -> dict[str, arrays.Specification]:
    return {
        f"{split}_{kind}": ((source.sizes[split], *shape), dtype)
        for split in SPLITS
        for kind, shape, dtype in (("images", source.image_shape, "uint8"), ("labels", (), "int32"))
    }


def _provide(source: Source, root: Path) -> None:
    """Prepares the data unless the arrays or the prepared folder exist."""
    if _arrays_folder(source, root).exists() or _prepared(source, root):
        return
    manual, urls = source.manual_folder(root), [original.url for original in source.originals]
    remedy = (
        f"name a folder that holds {source.name}/{source.version} by --data_dir or TFDS_DATA_DIR, "
        f"or fetch {', '.join(urls)} into {manual}"
    )
    if all((manual / original.name).exists() for original in source.originals):
        arrays.notify(
            f"Preparing {source.title} in {root / OURS} from {manual}: once, in a minute or more."
        )
        prepare(source, root / OURS, manual)
        return
    if reason := why_unreachable(urls[0]):
        raise DataUnavailable(
            f"{source.title} is not in {root} and cannot be downloaded ({reason}): {remedy}"
        )
    arrays.notify(
        f"Downloading {source.title} ({source.megabytes:,} MB) and preparing it in {root / OURS}: "
        "once, in a few minutes."
    )
    try:
        prepare(source, root / OURS)
    except DataUnavailable as error:
        raise DataUnavailable(
            f"{source.title} could not be prepared in {root} ({error}): {remedy}"
        ) from error


def _cached(source: Source, root: Path, folder: Path) -> arrays.Cached | None:
    """Returns the verified arrays of a cache folder, or None if it does not exist."""
    if not folder.exists():
        return None
    try:
        images_and_labels = arrays.read(folder, _specifications(source))
        digests = source.digests or arrays.read_record(folder)
    except arrays.ArraysDamaged as damage:
        if _prepared(source, root) and arrays.writable(folder):
            raise
        raise DataInvalid(f"{damage}: delete {folder} and start again") from damage
    for name, array in images_and_labels.items():
        if digest(array) != digests.get(name):
            raise DataInvalid(
                f"{folder / name}.npy is not {source.title} in the order of tfds.data_source "
                f"(wrong fingerprint): delete {folder} and start again"
            )
    return arrays.Cached(images_and_labels, {} if source.digests else digests)


def _decoded(source: Source, root: Path, remark: str) -> arrays.Cached:
    """Decodes and verifies the arrays of a prepared folder."""
    folder = _prepared(source, root)
    if folder is None:
        raise DataUnavailable(f"{source.title} is no longer in {root}: start again")
    arrays.notify(f"Decoding {source.title} from {folder} ({remark}).")
    try:
        images_and_labels = read(source, folder)
        digests = {name: digest(array) for name, array in images_and_labels.items()}
        for name, known in (source.digests or {}).items():
            if digests[name] != known:
                raise DataInvalid(
                    f"{folder} does not hold {source.title} ({name} has the wrong fingerprint)"
                )
    except DataInvalid as error:
        if not folder.is_relative_to(root / OURS):
            raise
        raise DataInvalid(f"{error}; or delete {folder}, and it is prepared again") from error
    return arrays.Cached(images_and_labels, {} if source.digests else digests)


def read(source: Source, folder: Path) -> dict[str, np.ndarray]:
    """Decodes a prepared folder of a data set.

    Returns:
      {train,test}_images u8[N,H,W,C] and {train,test}_labels i32[N].

    Raises:
      DataInvalid: A file can't be read or is damaged, or it is another data set.
    """
    prepared = PreparedFolder(folder)
    image, label = (prepared.features.get(name) for name in ("image", "label"))
    if image is None or image.shape != source.image_shape:
        raise DataInvalid(f"{folder} has no images of {shape_text(source.image_shape)}")
    if label is None or len(label.classes) != len(source.classes):
        number = 0 if label is None else len(label.classes)
        raise DataInvalid(f"{folder} has {number} classes instead of {len(source.classes)}")
    images_and_labels: dict[str, np.ndarray] = {}
    for split in SPLITS:
        size, stated = source.sizes[split], prepared.splits.get(split, 0)
        if stated != size:
            raise DataInvalid(f"{folder}: {split} has {stated} examples instead of {size}")
        images, labels = prepared.read(split, PictureForm(*source.image_shape))
        images_and_labels |= {f"{split}_images": images, f"{split}_labels": labels}
    return images_and_labels

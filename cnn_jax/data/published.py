"""Loads a data set of TFDS: finds or prepares it, decodes it once, verifies it at every start."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from cnn_jax import ranges
from cnn_jax.data import arrays, tfds
from cnn_jax.data.dataset import (
    DataInvalid,
    Dataset,
    DataUnavailable,
    Split,
    channel_statistics,
    combined_digest,
    digest,
)
from cnn_jax.data.server_probe import why_unreachable
from cnn_jax.data.source import Source
from cnn_jax.storage import cache_folder


@dataclass(frozen=True)
class Published:
    """Base class of the data sets that come from TensorFlow Datasets (TFDS).

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
        train, test = (self.source.sizes[split] for split in tfds.SPLITS)
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
        _provide(self.source, root(data_dir))
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Loads the data, and prepares it first if it is missing.

        Args:
          data_dir: The TFDS folder; see `root`.

        Raises:
          DataUnavailable: The data is missing and cannot be prepared; raised within seconds.
          DataInvalid: The files on disk are damaged or contain another data set.
        """
        source, data_root = self.source, root(data_dir)
        _provide(source, data_root)
        folder = _arrays_folder(source, data_root)
        cached = arrays.load_or_make(
            folder,
            functools.partial(_cached, source, data_root, folder),
            functools.partial(_decoded, source, data_root),
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


def root(data_dir: str | None) -> Path:
    """Returns the TFDS folder: `data_dir`, `$TFDS_DATA_DIR` or `~/tensorflow_datasets`."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(chosen).expanduser().absolute()


def _arrays_folder(source: Source, root: Path) -> Path:
    """Returns the folder of the decoded arrays: beside the records, or else in the user's cache."""
    beside = source.folder(root) / "arrays"
    if beside.exists() or not source.prepared(root) or arrays.writable(beside.parent):
        return beside
    return cache_folder.user_cache() / source.name / source.version / "arrays"


def _specifications(source: Source) -> dict[str, arrays.Specification]:
    return {
        f"{split}_{kind}": ((source.sizes[split], *shape), dtype)
        for split in tfds.SPLITS
        for kind, shape, dtype in (("images", source.image_shape, "uint8"), ("labels", (), "int32"))
    }


def _provide(source: Source, root: Path) -> None:
    """Prepares the data unless the arrays or the prepared folder exist."""
    if _arrays_folder(source, root).exists() or source.prepared(root):
        return
    manual, urls = source.manual_folder(root), [original.url for original in source.originals]
    if all((manual / original.name).exists() for original in source.originals):
        arrays.notify(
            f"Preparing {source.title} in {root} from {manual}: once, in a minute or more."
        )
        tfds.prepare(source, root, manual)
        return
    reason = why_unreachable(urls[0])
    if reason:
        raise DataUnavailable(
            f"{source.title} is not in {root} and cannot be downloaded ({reason}): name a folder "
            f"that holds {source.name}/{source.version} by --data_dir or TFDS_DATA_DIR, or fetch "
            f"{', '.join(urls)} into {manual}"
        )
    arrays.notify(
        f"Downloading {source.title} ({source.megabytes:,} MB) and preparing it in {root}: once, "
        "in a few minutes."
    )
    tfds.prepare(source, root)


def _cached(source: Source, root: Path, folder: Path) -> arrays.Cached | None:
    """Returns the verified arrays of a cache folder, or None if it does not exist."""
    if not folder.exists():
        return None
    try:
        images_and_labels = arrays.read(folder, _specifications(source))
        digests = source.digests or arrays.read_record(folder)
    except arrays.ArraysDamaged as damage:
        if source.prepared(root) and arrays.writable(folder):
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
    arrays.notify(f"Decoding {source.title} from {source.folder(root)} ({remark}).")
    images_and_labels = tfds.read(source, root)
    digests = {name: digest(array) for name, array in images_and_labels.items()}
    for name, known in (source.digests or {}).items():
        if digests[name] != known:
            raise DataInvalid(
                f"{source.folder(root)} does not hold {source.title} ({name} has the wrong "
                "fingerprint): delete it and start again"
            )
    return arrays.Cached(images_and_labels, {} if source.digests else digests)

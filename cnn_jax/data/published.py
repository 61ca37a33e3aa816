"""A data set of TFDS: found or prepared, decoded once, checked at every start, cut into parts."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np

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
from cnn_jax.data.probe import why_unreachable
from cnn_jax.data.source import Source
from cnn_jax.storage import cache_folder, files


@dataclass(frozen=True)
class Published:
    """What the data sets of TFDS have in common.

    Attributes:
      validation: Number of images cut from the end of the training set to make choices on; 0 for
        none.
      train: Number of training images, the first of what validation leaves; None for all.
      test: Number of test images, the first; None for all.
    """

    source: ClassVar[Source]

    validation: int = 5000
    train: int | None = None
    test: int | None = None

    def __post_init__(self) -> None:
        whole, test = (self.source.sizes[split] for split in tfds.SPLITS)
        if not 0 <= self.validation < whole:
            raise ValueError(f"validation must be in 0..{whole - 1}, got {self.validation}")
        most = whole - self.validation
        if self.train is not None and not 1 <= self.train <= most:
            raise ValueError(
                f"train must be None or in 1..{most} ({whole} less validation), got {self.train}"
            )
        if self.test is not None and not 1 <= self.test <= test:
            raise ValueError(f"test must be None or in 1..{test}, got {self.test}")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.source.image_shape

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.source.classes)

    def resolve(self, data_dir: str | None = None) -> tuple[Self, str]:
        """Sees to it that the data is at hand, preparing it if need be.

        Returns:
          This config and an empty note.

        Raises:
          DataUnavailable: it is not at hand, and cannot be prepared; within seconds.
          DataInvalid: what is at hand is damaged.
        """
        _provide(self.source, root(data_dir))
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Reads the data, preparing it if need be.

        Args:
          data_dir: The folder of TensorFlow Datasets.

        Raises:
          DataUnavailable: it is not at hand, and cannot be prepared; within seconds.
          DataInvalid: what is at hand is damaged, or is not this data set.
        """
        source = self.source
        held, digests = _load(source, root(data_dir))
        images, labels = held["train_images"], held["train_labels"]
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
            test=Split(held["test_images"][: self.test], held["test_labels"][: self.test]),
            mean=mean,
            std=std,
            fingerprint=combined_digest([digests[name] for name in held]),
        )


class _Held(NamedTuple):
    """The arrays, and the digest of each."""

    arrays: dict[str, np.ndarray]
    digests: Mapping[str, str]


def root(data_dir: str | None) -> Path:
    """The folder of TensorFlow Datasets: as given, of the environment, or the usual one."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(chosen).expanduser().absolute()


def _arrays_folder(source: Source, root: Path) -> Path:
    """Where the decoded arrays are, or are to be written."""
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
    """Prepares the data unless the arrays or the prepared folder are there."""
    if _arrays_folder(source, root).exists() or source.prepared(root):
        return
    manual, urls = source.manual_folder(root), [original.url for original in source.originals]
    if all((manual / original.name).exists() for original in source.originals):
        _say(f"Preparing {source.title} in {root} from {manual}: once, a minute or more.")
        tfds.prepare(source, root, manual)
        return
    reason = why_unreachable(urls[0])
    if reason:
        raise DataUnavailable(
            f"{source.title} is not in {root} and cannot be downloaded ({reason}): name a folder "
            f"that holds {source.name}/{source.version} by --data_dir or TFDS_DATA_DIR, or fetch "
            f"{', '.join(urls)} into {manual}"
        )
    _say(
        f"Downloading {source.title} ({source.megabytes:,} MB) and preparing it in {root}: once, "
        "a few minutes."
    )
    tfds.prepare(source, root)


def _load(source: Source, root: Path) -> _Held:
    """The checked arrays, from their own files or else from the prepared folder."""
    _provide(source, root)
    place = _arrays_folder(source, root)
    held = _cached(source, root, place)
    if held is not None:
        return held
    if not arrays.writable(place.parent):
        return _decoded(
            source, root, f"{place.parent} cannot be written: this is done at every start"
        )
    with files.locked(place.parent / ".arrays.lock"):
        held = _cached(source, root, place)
        if held is None:
            held = _decoded(source, root, f"the arrays are kept in {place}")
            try:
                arrays.write(place, held.arrays, None if source.digests else dict(held.digests))
            except OSError as error:
                _say(f"{place} could not be written ({error}): the next start decodes again.")
    return held


def _cached(source: Source, root: Path, place: Path) -> _Held | None:
    """The arrays of a folder, or None where they must be decoded (again)."""
    if not place.exists():
        return None
    try:
        held = arrays.read(place, _specifications(source))
        digests = source.digests or arrays.read_record(place)
    except arrays.ArraysDamaged as damage:
        if not source.prepared(root) or not arrays.writable(place):
            raise DataInvalid(f"{damage}: delete {place} and start again") from damage
        _say(f"{damage}: decoding {source.title} again.")
        return None
    for name, array in held.items():
        if digest(array) != digests.get(name):
            raise DataInvalid(
                f"{place / name}.npy is not {source.title} in the order of tfds.data_source (wrong "
                f"fingerprint): delete {place} and start again"
            )
    return _Held(held, digests)


def _decoded(source: Source, root: Path, note: str) -> _Held:
    """The arrays as decoded from the prepared folder."""
    _say(f"Decoding {source.title} from {source.folder(root)} ({note}).")
    held = tfds.read(source, root)
    digests = {name: digest(array) for name, array in held.items()}
    for name, known in (source.digests or {}).items():
        if digests[name] != known:
            raise DataInvalid(
                f"{source.folder(root)} does not hold {source.title} ({name} has the wrong "
                "fingerprint): delete it and start again"
            )
    return _Held(held, digests)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

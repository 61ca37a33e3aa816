"""Loads custom images from a folder with one sub-folder for each class."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnn_jax.data import arrays
from cnn_jax.data.class_folders import Listing, Picture, list_pictures
from cnn_jax.data.dataset import (
    DataInvalid,
    Dataset,
    Split,
    channel_statistics,
    digest,
    fingerprint,
)
from cnn_jax.data.image_files import BadImage, read_image
from cnn_jax.ranges import Checked, Fraction, Positive
from cnn_jax.storage import cache_folder


@dataclass(frozen=True)
class Folder(Checked):
    """Custom images in `path/train/CLASS/` and `path/test/CLASS/`, or in `path/CLASS/`.

    Without `train` and `test`, a share of every class becomes the test set; file names alone decide
    which images. With them, `path/val/CLASS/` is the validation set; if there is none, a share of
    the training set is. Each image is resized until its shorter side is `size`, then cropped to the
    central square (`read_image`). The decoded arrays are cached in the user's cache folder until a
    file is added, removed or changed.

    Attributes:
      path: The folder.
      size: Height and width of the resized images, in pixels.
      channels: 3: colour; 1: greyscale.
      validation: Share of each class's training images used for validation; 0: none. Not used if
        the folder has its own validation images.
      test: Share of each class's images used for testing; not used if the folder has `test`.
      skip_bad: Whether unreadable files are skipped and listed; otherwise they are an error.
    """

    path: str
    size: Positive[int] = 32
    channels: Literal[1, 3] = 3
    validation: Fraction[float] = 0.1
    test: Positive[Fraction[float]] = 0.2
    skip_bad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise ValueError("path must name a folder, got ''")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.size, self.size, self.channels

    def resolve(self, data_dir: str | None = None) -> tuple[Folder, str]:
        """Returns this config and no note; raises the errors of `list_pictures`."""
        list_pictures(self._root(), self.test)
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Reads the images, or their cached arrays; ignores `data_dir`.

        Raises:
          DataUnavailable: The folder does not exist.
          DataInvalid: The folder has another layout, or a file can't be read.
        """
        root = self._root()
        listing = list_pictures(root, self.test)
        cached = self._cached_or_read(root, listing)
        skipped: dict[str, str] = cached.record["skipped"]
        if skipped:
            arrays.notify(f"{root}: {len(skipped)} files that can't be read are left out:")
            for reason in skipped.values():
                arrays.notify(f"  {reason}")
        splits = {
            part: _split(root, cached.arrays[part], pictures, skipped)
            for part, pictures in listing.parts.items()
        }
        train, test, validation = splits["train"], splits["test"], splits.get("validation")
        absent = _absent(listing.classes, train)
        if absent:
            raise DataInvalid(
                f"{root}: none of the training images of {absent[0]} can be read: replace them"
            )
        mean, std = channel_statistics(train.images)
        if validation is None:
            cut = _last_share(train.labels, self.validation)
            if cut.any():
                train, validation = (
                    Split(train.images[part], train.labels[part]) for part in (~cut, cut)
                )
        for part, split in (("validation", validation), ("test", test)):
            if split and (absent := _absent(listing.classes, split)):
                arrays.notify(f"{root}: {part} has no image of {', '.join(absent)}")
        return Dataset(
            name=f"folder:{root.name}",
            classes=listing.classes,
            train=train,
            validation=validation,
            test=test,
            mean=mean,
            std=std,
            fingerprint=fingerprint(splits.values()),
        )

    def _root(self) -> Path:
        return Path(os.path.abspath(os.path.expanduser(self.path)))

    def _cached_or_read(self, root: Path, listing: Listing) -> arrays.Cached:
        """Returns the images of each part, and a record that names the skipped files."""
        settings = [str(root), self.size, self.channels, self.test, self.skip_bad]
        folder = cache_folder.user_cache() / "folder" / f"{root.name[:32]}-{_digest(settings)[:16]}"
        pictures = itertools.chain(*listing.parts.values())
        stamp = _digest(
            [(picture.name, picture.label, _stat(picture.path)) for picture in pictures]
        )
        return arrays.load_or_make(
            folder,
            functools.partial(self._cached, folder, listing, stamp),
            functools.partial(self._read, listing, stamp),
        )

    def _cached(self, folder: Path, listing: Listing, stamp: str) -> arrays.Cached | None:
        """Returns the verified arrays of a cache folder, or None if the pictures have changed."""
        if not folder.exists():
            return None
        record = arrays.read_record(folder)
        if record.get("files") != stamp:
            return None
        skipped = record.get("skipped", {})
        sizes = {part: len(_labels(listing.parts[part], skipped)) for part in listing.parts}
        images = arrays.read(
            folder, {part: ((size, *self.image_shape), "uint8") for part, size in sizes.items()}
        )
        if {part: digest(array) for part, array in images.items()} != record.get("digests"):
            raise arrays.ArraysDamaged(f"{folder} has changed on disk (wrong fingerprint)")
        return arrays.Cached(images, {"skipped": skipped})

    def _read(self, listing: Listing, stamp: str, remark: str) -> arrays.Cached:
        number = sum(map(len, listing.parts.values()))
        others = ", ".join(f"{count} {name}" for name, count in sorted(listing.passed_over.items()))
        others = f", passing over {others}" if others else ""
        arrays.notify(f"Reading {number:,} pictures of {self._root()}{others} ({remark}).")
        skipped: dict[str, str] = {}
        images = {part: self._images(listing.parts[part], skipped) for part in listing.parts}
        digests = {part: digest(array) for part, array in images.items()}
        return arrays.Cached(images, {"files": stamp, "skipped": skipped, "digests": digests})

    def _images(self, pictures: list[Picture], skipped: dict[str, str]) -> np.ndarray:
        """u8[N,H,W,C] of the readable files; adds the others to `skipped` if `skip_bad`."""
        images: np.ndarray = np.empty((len(pictures), *self.image_shape), np.uint8)
        number = 0
        for picture in pictures:
            try:
                images[number] = read_image(picture.path, *self.image_shape)
                number += 1
            except BadImage as error:
                if not self.skip_bad:
                    raise DataInvalid(f"{error}; skip_bad=True leaves such files out") from error
                skipped[picture.name] = str(error)
        return images[:number]


def _split(
    root: Path, images: np.ndarray, pictures: list[Picture], skipped: Mapping[str, str]
) -> Split:
    if not len(images):
        raise DataInvalid(
            f"{root}: none of {pictures[0].name} and the images beside it can be read: replace them"
        )
    return Split(images, _labels(pictures, skipped))


def _labels(pictures: list[Picture], skipped: Mapping[str, str]) -> np.ndarray:
    """i32[N], the labels of the pictures that were not skipped."""
    return np.array([p.label for p in pictures if p.name not in skipped], np.int32)


def _absent(classes: Sequence[str], split: Split) -> list[str]:
    seen = set(split.labels.tolist())
    return [name for label, name in enumerate(classes) if label not in seen]


def _last_share(labels: np.ndarray, share: float) -> np.ndarray:
    """bool[N]: whether an example is in the last `share` of the examples of its class."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        number = min(round(share * len(places)), len(places) - 1)
        chosen[places[len(places) - number :]] = True
    return chosen


def _stat(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change; None if the file cannot be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()

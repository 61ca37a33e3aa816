"""Pictures of one's own, in a folder for each class."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from cnn_jax import ranges
from cnn_jax.data import arrays
from cnn_jax.data.class_folders import Listing, Picture, list_pictures
from cnn_jax.data.dataset import (
    DataInvalid,
    Dataset,
    Split,
    channel_statistics,
    combined_digest,
    digest,
)
from cnn_jax.data.image_files import BadImage, read_image
from cnn_jax.storage import cache_folder, files


@dataclass(frozen=True)
class Folder:
    """Pictures in `path/train/CLASS/` and `path/test/CLASS/`, or in `path/CLASS/` alone.

    In the second case a share of every class is cut for the test; which pictures it is follows
    from their names alone. In the first, `path/val/CLASS/` are for validation where they are there;
    else a share is cut too. A picture is resized so that its shorter side has the size asked for,
    and cut square about its centre (`read_image`). The arrays are kept in the user's cache folder
    until a file is added, removed or changed.

    Attributes:
      path: The folder.
      size: Height and width that every picture is brought to, in pixels.
      channels: 3 for colour, 1 for grey.
      validation: Share of every class's training pictures cut to make choices on; 0 for none. Where
        the folder has pictures for it, these are taken and nothing is cut.
      test: Share of every class's pictures cut for the test where the folder has no `test`.
      skip_bad: Whether files that can't be read are left out, and listed, instead of refused.
    """

    path: str
    size: int = 32
    channels: Literal[1, 3] = 3
    validation: float = 0.1
    test: float = 0.2
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path must name a folder, got ''")
        ranges.positive(size=self.size, test=self.test)
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {self.channels!r}")
        ranges.fraction(validation=self.validation, test=self.test)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.size, self.size, self.channels

    def resolve(self, data_dir: str | None = None) -> tuple[Folder, str]:
        """This config, and no note; its errors are those of `list_pictures`."""
        list_pictures(self._root(), self.test)
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Reads the pictures, or the arrays kept of them; the folder of data sets is not used.

        Raises:
          DataUnavailable: there is no such folder.
          DataInvalid: it doesn't hold what it should, or a file can't be read.
        """
        root = self._root()
        listing = list_pictures(root, self.test)
        held = self._held(root, listing)
        if held.skipped:
            _say(f"{root}: {len(held.skipped)} files that can't be read are left out:")
            for reason in held.skipped.values():
                _say(f"  {reason}")
        splits = {
            part: _split(root, held.images[part], pictures, held.skipped)
            for part, pictures in listing.parts.items()
        }
        train = splits["train"]
        unseen = set(range(len(listing.classes))) - set(train.labels.tolist())
        if unseen:
            name = listing.classes[min(unseen)]
            raise DataInvalid(f"{root}: none of the pictures of {name} to train on can be read")
        mean, std = channel_statistics(train.images)
        validation = splits.get("validation")
        if validation is None:
            cut = _share(train.labels, self.validation)
            if cut.any():
                train, validation = (
                    Split(train.images[part], train.labels[part]) for part in (~cut, cut)
                )
        for part, split in (("validation", validation), ("test", splits["test"])):
            seen = set(split.labels.tolist()) if split else range(len(listing.classes))
            without = [name for n, name in enumerate(listing.classes) if n not in seen]
            if without:
                _say(f"{root}: no picture of {', '.join(without)} is in {part}")
        return Dataset(
            name=f"folder:{root.name}",
            classes=listing.classes,
            train=train,
            validation=validation,
            test=splits["test"],
            mean=mean,
            std=std,
            fingerprint=combined_digest(
                [
                    digest(array)
                    for split in splits.values()
                    for array in (split.images, split.labels)
                ]
            ),
        )

    def _root(self) -> Path:
        return Path(os.path.abspath(os.path.expanduser(self.path)))

    def _held(self, root: Path, listing: Listing) -> _Held:
        """The images as kept, or else as read now and kept for the next time."""
        made_of = [str(root), self.size, self.channels, self.test, self.skip_bad]
        place = cache_folder.user_cache() / "folder" / f"{root.name[:32]}-{_digest(made_of)[:16]}"
        pictures = itertools.chain(*listing.parts.values())
        stamp = _digest(
            [(picture.name, picture.label, _stat(picture.path)) for picture in pictures]
        )
        if not arrays.writable(place.parent):
            return self._read(listing, f"{place.parent} cannot be written: at every start")
        with files.locked(place.parent / f".{place.name}.lock"):
            held = self._kept(place, listing, stamp)
            if held is None:
                held = self._read(listing, f"the arrays are kept in {place}")
                digests = {part: digest(array) for part, array in held.images.items()}
                record = {"files": stamp, "skipped": held.skipped, "digests": digests}
                try:
                    arrays.write(place, held.images, record)
                except OSError as error:
                    _say(f"{place} could not be written ({error}): the next start reads again.")
        return held

    def _kept(self, place: Path, listing: Listing, stamp: str) -> _Held | None:
        """The images of a cache folder; None where there are none of these files."""
        if not place.exists():
            return None
        try:
            record: dict[str, Any] = arrays.read_record(place)
            if record.get("files") != stamp:
                return None
            skipped = record.get("skipped", {})
            sizes = {part: len(_labels(listing.parts[part], skipped)) for part in listing.parts}
            images = arrays.read(
                place, {part: ((size, *self.image_shape), "uint8") for part, size in sizes.items()}
            )
            if {part: digest(array) for part, array in images.items()} != record.get("digests"):
                raise arrays.ArraysDamaged(f"{place} is not what was written (wrong fingerprint)")
        except arrays.ArraysDamaged as damage:
            _say(f"{damage}: reading the pictures again.")
            return None
        return _Held(images, skipped)

    def _read(self, listing: Listing, note: str) -> _Held:
        """Reads every file."""
        number = sum(map(len, listing.parts.values()))
        others = ", ".join(f"{count} {name}" for name, count in sorted(listing.passed_over.items()))
        others = f", passing over {others}" if others else ""
        _say(f"Reading {number:,} pictures of {self._root()}{others} ({note}).")
        skipped: dict[str, str] = {}
        images = {part: self._images(listing.parts[part], skipped) for part in listing.parts}
        return _Held(images, skipped)

    def _images(self, pictures: list[Picture], skipped: dict[str, str]) -> np.ndarray:
        """u8[N,H,W,C] of the files that can be read; the others are added to those skipped."""
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


class _Held(NamedTuple):
    """The images u8[N,H,W,C] of each part, and why files of them were skipped, by name."""

    images: dict[str, np.ndarray]
    skipped: Mapping[str, str]


def _split(
    root: Path, images: np.ndarray, pictures: list[Picture], skipped: Mapping[str, str]
) -> Split:
    if not len(images):
        raise DataInvalid(f"{root}: {pictures[0].name} and the others with it can't be read")
    return Split(images, _labels(pictures, skipped))


def _labels(pictures: list[Picture], skipped: Mapping[str, str]) -> np.ndarray:
    """i32[N] of the pictures that were not skipped."""
    return np.array([p.label for p in pictures if p.name not in skipped], np.int32)


def _share(labels: np.ndarray, share: float) -> np.ndarray:
    """bool[N]: whether an example is among the last of its class that make up this share."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        number = min(round(share * len(places)), len(places) - 1)
        chosen[places[len(places) - number :]] = True
    return chosen


def _stat(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change; None for what will not be read either."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

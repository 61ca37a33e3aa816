"""Loads custom images from a folder with one sub-folder for each class."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from cnn_jax.data import arrays
from cnn_jax.data.dataset import (
    DataInvalid,
    Dataset,
    Split,
    combined_digest,
    digest,
    statistics_of_sums,
)
from cnn_jax.data.pictures import folder_report
from cnn_jax.data.pictures.class_folders import (
    PURPOSES,
    Listing,
    Picture,
    absent,
    check_folder,
    list_labelled,
    list_pictures,
    share,
)
from cnn_jax.data.pictures.picture_cache import Row
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.data.pictures.picture_index import Seen
from cnn_jax.data.pictures.picture_stores import InFiles, InMemory, Store
from cnn_jax.data.pictures.random_resized_crop import RandomResizedCrop, check_crop
from cnn_jax.errors import some
from cnn_jax.ranges import Checked, Fraction, LocalPath, OpenFraction, Positive, added_field
from cnn_jax.storage import cache_folder, files

T = TypeVar("T")


@dataclass(frozen=True)
class Folder(Checked):
    """Custom images in `path/train/CLASS/` and `path/test/CLASS/`, or in `path/CLASS/`.

    Without folders for the splits, a share of every class becomes the test set; file names alone
    decide which images. With them, `path/val/CLASS/` is the validation set; if there is none, a
    share of the training set is. Other customary names of splits are recognised, in any case
    (`Training`, `TEST`, `valid`). Decoded images are cached in the user's cache folder.

    Attributes:
      path: The folder.
      size: Height and width of the images that the net sees, in pixels: one number for a square, or
        (height, width).
      channels: 3: colour; 1: greyscale.
      validation: Share of each class's training images used for validation; 0: none. Not used if
        the folder has its own validation images.
      test: Share of each class's images used for testing; not used if the folder has a test set.
      skip_bad: Whether unreadable files are skipped and listed; otherwise they are an error.
      fit: What happens to an image of another aspect ratio. "crop": it is resized to cover the
        size, and cropped to the centre; "pad": it is resized to fit inside, and the rest is black;
        "stretch": its aspect ratio is changed.
      decode: "draft": a JPEG much larger than `size` is decoded at a lower resolution, at least
        twice the size's, which is several times faster and changes pixels slightly; "full": every
        pixel is decoded.
      stream: Whether to decode pictures when they are needed, for sets that do not fit in memory.
      crop: RandomResizedCrop() of each training picture, from its full size, instead of `fit`;
        needs `stream`. Validation and test keep to `fit`.
    """

    path: LocalPath
    size: Positive[int] | tuple[Positive[int], Positive[int]] = 32
    channels: Literal[1, 3] = 3
    validation: Fraction[float] = 0.1
    test: OpenFraction[float] = 0.2
    skip_bad: bool = False
    fit: Literal["crop", "pad", "stretch"] = "crop"
    decode: Literal["draft", "full"] = added_field("draft", before="full")
    stream: bool = False
    crop: RandomResizedCrop | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise ValueError("path must name a folder, got ''")
        check_crop(self.crop, self.stream)

    @property
    def form(self) -> PictureForm:
        """The form into which the images are brought."""
        height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        return PictureForm(height, width, self.channels, self.fit, self.decode)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.form.shape

    @property
    def root(self) -> Path:
        """The folder's absolute path."""
        return Path(files.absolute(self.path))

    def resolve(self, data_dir: str | None = None) -> tuple[Folder, str]:
        """Returns this config and no note. Raises DataUnavailable if there is no such folder."""
        check_folder(self.root)
        return self, ""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Reads the images, or their cached arrays; ignores `data_dir`.

        Raises:
          DataUnavailable: The folder does not exist.
          DataInvalid: The folder has another layout, a file can't be read, or the images need more
            memory than is free.
        """
        return self._from_store(list_pictures(self.root, self.test), self._load)

    def load_labelled(self) -> Dataset:
        """Reads all images as the test set, whatever their number and that of the classes.

        To score a net on them. They are also the training set, since a data set has one.

        Raises:
          DataInvalid: There is no image, a file can't be read, or the memory is too small.
        """
        return self._from_store(list_labelled(self.root), self._load_labelled)

    def _from_store(self, listing: Listing, load: Callable[[Listing, Store], T]) -> T:
        root = self.root
        settings = [str(root), *self.image_shape, self.fit, self.decode]
        name = f"{root.name[:32]}-{cache_folder.key(settings)}"
        folder = cache_folder.user_cache() / "pictures"
        store: Store = InMemory(folder / name, self.form)
        if self.stream:
            store = InFiles(folder / f"{name}.index", self.form, self.crop)
        try:
            return load(listing, store)
        except arrays.ArraysDamaged as damage:
            arrays.notify(f"{damage}: reading its pictures again.")
            return load(listing, store)

    def _load_labelled(self, listing: Listing, store: Store) -> Dataset:
        found = store.read(self.root, listing.pictures)
        self._report_bad([reason for reason in found if isinstance(reason, str)])
        rows = [row for row in found if not isinstance(row, str)]
        pictures = [
            picture
            for row, picture in zip(found, listing.pictures, strict=True)
            if not isinstance(row, str)
        ]
        if not pictures:
            raise DataInvalid(f"{self.root}: none of the images can be read: replace them")
        split = _split(store, pictures)
        self._report(listing, store, {"test": pictures}, {"test": split}, {}, rows)
        return Dataset(
            name=f"folder:{self.root.name}",
            classes=listing.classes,
            train=split,
            validation=None,
            test=split,
            mean=(0.5,) * self.channels,
            std=(1.0,) * self.channels,
            fingerprint=combined_digest([store.digest(pictures), digest(split.labels)]),
        )

    def _load(self, listing: Listing, store: Store) -> Dataset:
        root, found = self.root, store.read(self.root, listing.pictures)
        read = dict(zip((picture.name for picture in listing.pictures), found, strict=True))
        self._report_bad([reason for reason in found if isinstance(reason, str)])
        parts = {
            part: [picture for picture in pictures if not isinstance(read[picture.name], str)]
            for part, pictures in listing.parts.items()
        }
        for part, pictures in parts.items():
            if not pictures:
                raise DataInvalid(
                    f"{root}: none of the images to {PURPOSES[part]} on can be read: replace them"
                )
        lost = absent(listing.classes, [picture.label for picture in parts["train"]])
        if lost:
            raise DataInvalid(
                f"{root}: none of the training images of {some(lost)} can be read: replace them"
            )
        shares = {} if listing.split else {"test": self.test}
        whole = parts["train"]
        if "validation" not in parts:
            parts["train"], cut = _last_share(whole, self.validation)
            if self.validation:
                shares["validation"] = self.validation
            if cut:
                parts = {"train": parts["train"], "validation": cut, "test": parts["test"]}
        splits = {
            part: _split(store, pictures, training=part == "train")
            for part, pictures in parts.items()
        }
        rows = [row for row in found if not isinstance(row, str)]
        self._report(listing, store, parts, splits, shares, rows)
        return _dataset(root, listing, store, parts, splits, whole)

    def _report_bad(self, reasons: Sequence[str]) -> None:
        if not reasons:
            return
        if not self.skip_bad:
            others = f" (and {len(reasons) - 1:,} more files)" if len(reasons) > 1 else ""
            raise DataInvalid(f"{reasons[0]}{others}; skip_bad=True leaves such files out")
        arrays.notify(f"{self.root}: left out, since they can't be read ({len(reasons):,}):")
        for reason in reasons:
            arrays.notify(f"  {reason}")

    def _report(
        self,
        listing: Listing,
        store: Store,
        parts: Mapping[str, Sequence[Picture]],
        splits: Mapping[str, Split],
        shares: Mapping[str, float],
        rows: Sequence[Row | Seen],
    ) -> None:
        order = [part for part in ("train", "validation", "test") if part in splits]
        labels = {part: splits[part].labels for part in order}
        lines = [
            folder_report.content(str(self.root), listing.classes, labels),
            *listing.notes,
            *folder_report.equal_pictures(
                {
                    part: (pictures, store.prints(pictures, splits[part].images))
                    for part, pictures in parts.items()
                }
            ),
            *folder_report.without_pictures(listing, labels, shares),
            folder_report.cut_off(rows, self.form),
        ]
        for number, line in enumerate(filter(None, lines)):
            arrays.notify(f"  {line}" if number else line)


def _split(store: Store, pictures: Sequence[Picture], *, training: bool = False) -> Split:
    return Split(store.images(pictures, training=training), _labels(pictures))


def _labels(pictures: Sequence[Picture]) -> np.ndarray:
    return np.array([picture.label for picture in pictures], np.int32)


def _dataset(
    root: Path,
    listing: Listing,
    store: Store,
    parts: Mapping[str, Sequence[Picture]],
    splits: Mapping[str, Split],
    whole: Sequence[Picture],
) -> Dataset:
    """The data set of these splits; `whole` is the training set before a validation set was cut."""
    own_validation = "validation" in listing.parts
    # The statistics and the fingerprint are those of the data before a validation set is cut, whose
    # share they ignore.
    others = {"test", "validation"} if own_validation else {"test"}
    seen = [part for part in parts if part not in others]
    with concurrent.futures.ThreadPoolExecutor(len(seen)) as pool:
        sums = [pool.submit(store.sums, parts[part], splits[part].images) for part in seen]
        digests = [store.digest(whole), digest(_labels(whole))]
        for part in parts:
            if part in others:
                digests += [store.digest(parts[part]), digest(splits[part].labels)]
    _, height, width, _ = splits["train"].images.shape
    pixels = sum(len(parts[part]) for part in seen) * height * width
    mean, std = statistics_of_sums(pixels, np.sum([one.result() for one in sums], axis=0))
    return Dataset(
        name=f"folder:{root.name}",
        classes=listing.classes,
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits["test"],
        mean=mean,
        std=std,
        fingerprint=combined_digest(digests),
        unsplit=not listing.split,
    )


def _last_share(pictures: Sequence[Picture], part: float) -> tuple[list[Picture], list[Picture]]:
    """Cuts the last share of each class's pictures off; both keep the order."""
    number: dict[int, int] = {}
    for picture in pictures:
        number[picture.label] = number.get(picture.label, 0) + 1
    left = {label: count - share(part, count) for label, count in number.items()}
    kept: list[Picture] = []
    cut: list[Picture] = []
    for picture in pictures:
        left[picture.label] -= 1
        (kept if left[picture.label] >= 0 else cut).append(picture)
    return kept, cut

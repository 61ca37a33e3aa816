"""Loads any image classification set that TFDS has prepared, from its own metadata."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnn_jax.data import arrays
from cnn_jax.data.dataset import (
    DataInvalid,
    Dataset,
    DataUnavailable,
    Images,
    Split,
    Statistics,
    channel_statistics,
    combined_digest,
    digest,
    statistics_of_sums,
)
from cnn_jax.data.memory_check import check_memory
from cnn_jax.data.pictures import folder_report
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.data.pictures.random_resized_crop import RandomResizedCrop, check_crop
from cnn_jax.data.pictures.streamed_images import StreamedImages
from cnn_jax.data.tfds.folders import OURS, Found, data_root, prepared_folders
from cnn_jax.data.tfds.metadata import customary_splits, image_and_label
from cnn_jax.data.tfds.prepared_folder import Feature, PreparedFolder
from cnn_jax.errors import some
from cnn_jax.ranges import Checked, Fraction, OpenFraction, Positive
from cnn_jax.storage import cache_folder, json_checks

# NAME, NAME/CONFIG, NAME:VERSION or NAME/CONFIG:VERSION.
_NAME = re.compile(r"(?P<name>\w+)(?:/(?P<config>[^/:]+))?(?::(?P<version>\d+\.\d+\.\d+))?")
_PARTS = {1: ("test",), 2: ("train", "test"), 3: ("train", "validation", "test")}


@dataclass(frozen=True)
class Tfds(Checked):
    """Any set of labelled images that TensorFlow Datasets (TFDS) has prepared.

    It is read from `data_dir`, or else `$TFDS_DATA_DIR`, or else `~/tensorflow_datasets`, without
    TensorFlow, in the formats array_record and tfrecord, and kept in memory. https://www.tensorflow.org/datasets/catalog/overview

    Attributes:
      name: "NAME", "NAME/CONFIG", "NAME:VERSION" or "NAME/CONFIG:VERSION", as in TFDS; without a
        version, the newest one that is prepared.
      size: Height and width of the images that the net sees, in pixels: one number for a square, or
        (height, width); None: that of the images, if all have the same.
      splits: Splits of TFDS or parts of them, for (train, test) or (train, validation, test):
        ("train[:90%]", "train[90%:]", "test"); (): the set's own, by their names. A single one can
        be evaluated on, but not trained on.
      validation: Share of the training images, from the end of that split, used for validation if
        the set has no validation split; 0: none.
      test: Share of the training images, from the end of that split, used for testing if the set
        has neither a test nor a validation split. A validation split without a test split is
        tested on.
      channels: 3: colour; 1: greyscale; None: as the set has them.
      label: Name of the label; "": the one that the set declares.
      fit: What happens to an image of another aspect ratio; see `Folder`.
      decode: "draft" or "full"; see `Folder`.
      stream: Whether to decode images when they are needed, for sets that do not fit in memory; the
        format must be array_record.
      crop: RandomResizedCrop() of each training image; see `Folder`.
    """

    name: str
    size: Positive[int] | tuple[Positive[int], Positive[int]] | None = None
    splits: tuple[str, ...] = ()
    validation: Fraction[float] = 0.1
    test: OpenFraction[float] = 0.2
    channels: Literal[1, 3] | None = None
    label: str = ""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    decode: Literal["draft", "full"] = "draft"
    stream: bool = False
    crop: RandomResizedCrop | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_crop(self.crop, self.stream)
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                "name must be NAME, NAME/CONFIG, NAME:VERSION or NAME/CONFIG:VERSION, got "
                f"{self.name!r}"
            )
        if len(self.splits) > len(_PARTS):
            raise ValueError(
                f"splits must be (train, test) or (train, validation, test), got {self.splits}"
            )

    def resolve(self, data_dir: str | None = None) -> tuple[Tfds, str]:
        """Returns this config with the version and the splits that it means, and no note.

        Raises:
          DataUnavailable: The set is not prepared.
          DataInvalid: Its description can't be read, or it lacks a split.
        """
        return self._exact(*self._open(data_dir)), ""

    def _exact(self, found: Found, prepared: PreparedFolder) -> Tfds:
        splits = self.splits or customary_splits(prepared, self.validation, self.test)
        for split in splits:
            prepared.number(split)
        name = _full_name(re.split("[/:]", self.name)[0], found)
        return dataclasses.replace(self, name=name, splits=splits)

    def load(self, data_dir: str | None = None) -> Dataset:
        """Decodes the images, or reads their cached arrays.

        Raises:
          DataUnavailable: The set is not prepared.
          DataInvalid: It has no training split, is not made of labelled images, is damaged, or
            needs more memory than is free.
        """
        found, prepared = self._open(data_dir)
        exact = self._exact(found, prepared)
        if len(exact.splits) == 1:
            raise DataInvalid(
                f"{self.name} has the split {exact.splits[0]} alone, which can be evaluated on: "
                "splits=(train, test) names others"
            )
        splits, cached = exact._read(data_dir, found, prepared)
        mean, std = exact._statistics(splits, cached)
        return Dataset(
            name=exact._title,
            classes=exact._classes(prepared),
            train=splits["train"],
            validation=splits.get("validation"),
            test=splits["test"],
            mean=mean,
            std=std,
            fingerprint=combined_digest(_digests(cached)),
        )

    def load_labelled(self, data_dir: str | None = None) -> Dataset:
        """Reads the last split as the test set, to score a net on; `train` is the same split.

        Raises:
          DataUnavailable: The set is not prepared.
          DataInvalid: It is not made of labelled images, is damaged, or needs more memory than is
            free.
        """
        found, prepared = self._open(data_dir)
        exact = self._exact(found, prepared)
        exact = dataclasses.replace(exact, splits=exact.splits[-1:])
        splits, cached = exact._read(data_dir, found, prepared)
        split = splits["test"]
        channels = split.images.shape[-1]
        return Dataset(
            name=exact._title,
            classes=exact._classes(prepared),
            train=split,
            validation=None,
            test=split,
            mean=(0.5,) * channels,
            std=(1.0,) * channels,
            fingerprint=combined_digest(_digests(cached)),
        )

    def _classes(self, prepared: PreparedFolder) -> tuple[str, ...]:
        return prepared.features[image_and_label(prepared, self.label)[1]].classes

    @property
    def _title(self) -> str:
        return f"tfds:{self.name.partition(':')[0]}"

    def _open(self, data_dir: str | None) -> tuple[Found, PreparedFolder]:
        found = self._find(data_root(data_dir))
        return found, PreparedFolder(found.folder)

    def _find(self, root: Path) -> Found:
        """The prepared folder of the newest version that the name means."""
        parts = _NAME.fullmatch(self.name)
        assert parts
        every = prepared_folders(root, parts["name"])
        config, version = parts["config"], parts["version"]
        meant = [
            one for one in every if config in (None, one.config) and version in (None, one.version)
        ]
        if len({one.config for one in meant}) > 1:
            names = some([_full_name(parts["name"], one) for one in meant])
            raise DataInvalid(f"{self.name} is prepared in several configs: name one of {names}")
        if meant:
            return meant[-1]
        if every:
            names = some([_full_name(parts["name"], one) for one in every])
            raise DataUnavailable(f"{self.name} is not in {root}, which has {names}")
        raise DataUnavailable(
            f"{self.name} is not in {root}: prepare it there with TensorFlow Datasets "
            f"(pip install tensorflow tensorflow-datasets; tfds build {parts['name']}), or name "
            "the folder that has it by --data_dir or TFDS_DATA_DIR"
        )

    def _form(self, image: Feature) -> PictureForm:
        """The form of the images, of this config or else of the set."""
        if image.dtype != "uint8":
            raise DataInvalid(f"{self.name}: its images are {image.dtype}, and must be uint8")
        height, width, stored = image.shape
        if self.size is not None:
            height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        if height is None or width is None:
            raise DataInvalid(
                f"{self.name}: its images have different sizes: set size, such as size=64"
            )
        return PictureForm(
            height, width, self.channels or (1 if stored == 1 else 3), self.fit, self.decode
        )

    def _read(
        self, data_dir: str | None, found: Found, prepared: PreparedFolder
    ) -> tuple[dict[str, Split], arrays.Cached]:
        """The parts by name, and what is cached of them."""
        image, label = image_and_label(prepared, self.label)
        form = self._form(prepared.features[image])
        parts = dict(zip(_PARTS[len(self.splits)], self.splits, strict=True))
        pictures = {}
        if self.stream:
            pictures = {part: prepared.pictures(split, image) for part, split in parts.items()}
        else:
            check_memory(self.name, sum(map(prepared.number, self.splits)), form.shape)
        settings = [*parts.items(), form.shape, form.fit, form.decode, image, label]
        settings += ["stream"] if self.stream else []
        folder = self._arrays_folder(data_root(data_dir), found, settings)
        files, classes = prepared.files(self.splits), self._classes(prepared)

        def make(remark: str) -> arrays.Cached:
            arrays.notify(f"Decoding {self.name} from {found.folder} ({remark}).")
            made: dict[str, np.ndarray] = {}
            # The test set first: it may be unlabelled.
            for part, split in reversed(parts.items()):
                if self.stream:
                    labels, digests, sums = prepared.look_through(split, form, image, label)
                    of_images = {f"{part}_digests": digests, f"{part}_sums": sums}
                else:
                    images, labels = prepared.read(split, form, image, label)
                    of_images = {f"{part}_images": images}
                self._check_labels(split, labels, len(classes))
                made = of_images | {f"{part}_labels": labels} | made
            record = {name: [list(a.shape), str(a.dtype), digest(a)] for name, a in made.items()}
            return arrays.Cached(made, {"arrays": record, "files": files})

        cached = arrays.load_or_make(folder, functools.partial(_cached, folder, files), make)
        splits = {}
        for part in parts:
            images: Images
            if self.stream:
                crop = self.crop if part == "train" else None
                images = StreamedImages(pictures[part], form, crop)
            else:
                images = cached.arrays[f"{part}_images"]
            splits[part] = Split(images, cached.arrays[f"{part}_labels"])
        labels = {part: split.labels for part, split in splits.items()}
        arrays.notify(folder_report.content(self.name, classes, labels))
        return splits, cached

    def _statistics(self, splits: Mapping[str, Split], cached: arrays.Cached) -> Statistics:
        """Mean and standard deviation over training and validation set."""
        parts = [part for part in ("train", "validation") if part in splits]
        if not self.stream:
            return channel_statistics(*(cached.arrays[f"{part}_images"] for part in parts))
        sums = np.sum([cached.arrays[f"{part}_sums"].sum(0) for part in parts], axis=0)
        _, height, width, _ = splits["train"].images.shape
        return statistics_of_sums(sum(len(splits[p]) for p in parts) * height * width, sums)

    def _check_labels(self, split: str, labels: np.ndarray, classes: int) -> None:
        wrong = np.flatnonzero((labels < 0) | (labels >= classes))
        if wrong.size:
            hint = ": the split is unlabelled, choose others" if len(wrong) == len(labels) else ""
            raise DataInvalid(
                f"{self.name}: the label of {split} example {wrong[0]} is {labels[wrong[0]]}, must "
                f"be in 0..{classes - 1}{hint}"
            )

    def _arrays_folder(self, root: Path, found: Found, settings: list[Any]) -> Path:
        stem = self.name.replace("/", "-").replace(":", "-")
        beside = root / OURS / "arrays" / f"{stem}-{cache_folder.key(settings)}"
        if beside.exists() or arrays.writable(beside.parent):
            return beside
        key = cache_folder.key([*settings, str(found.folder)])
        return cache_folder.user_cache() / "tfds" / f"{stem}-{key}"


def _digests(cached: arrays.Cached) -> list[str]:
    return [entry[2] for entry in cached.record["arrays"].values()]


def _cached(folder: Path, files: Sequence[Any]) -> arrays.Cached | None:
    """The verified arrays of a cache folder; None if it does not exist or is of other files."""
    if not folder.exists():
        return None
    record = arrays.read_record(folder)
    if json_checks.fault(record, arrays=dict, files=list) or record["files"] != files:
        return None
    try:
        stated = {
            name: (tuple(shape), dtype) for name, (shape, dtype, _) in record["arrays"].items()
        }
    except (TypeError, ValueError) as error:
        raise arrays.ArraysDamaged(f"{folder / arrays.RECORD} is damaged") from error
    found = arrays.read(folder, stated)
    for name, array in found.items():
        if digest(array) != record["arrays"][name][2]:
            raise arrays.ArraysDamaged(f"{folder / name}.npy has changed on disk")
    return arrays.Cached(found, record)


def _full_name(name: str, found: Found) -> str:
    return f"{'/'.join(filter(None, [name, found.config]))}:{found.version}"

"""Defines what a data set is: checked images and labels, with their statistics."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from cnn_jax.errors import UserError


class DataUnavailable(UserError):
    """The data is missing and cannot be fetched. The message names the path or flag that helps."""


class DataInvalid(UserError):
    """The data is damaged or malformed. The message names the file or field."""


class Images(Protocol):
    """Images u8[N,H,W,C]: an array, or `StreamedImages`, which are indexed like one."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def ndim(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...
    def __iter__(self) -> Any: ...
    def __array__(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Split:
    """The examples of one part of a data set.

    Attributes:
      images: u8[N,H,W,C].
      labels: i32[N], class indices.

    Raises:
      DataInvalid: A wrong shape or dtype, or different lengths.
    """

    images: Images
    labels: np.ndarray

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8:
            raise DataInvalid(
                f"images must be uint8 (0..255), got {images.dtype}{_first_not_finite(images)}"
            )
        if images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise DataInvalid(f"images must be u8[N,H,W,C] with C 1 or 3, got shape {images.shape}")
        if labels.dtype != np.int32 or labels.ndim != 1:
            raise DataInvalid(
                f"labels must be i32[N], got {labels.dtype} with shape {labels.shape}"
                f"{_first_not_finite(labels)}"
            )
        if len(images) != len(labels):
            short, missing = min((len(images), "image"), (len(labels), "label"))
            raise DataInvalid(
                f"images and labels must have the same length, got {len(images)} images and "
                f"{len(labels)} labels: example {short} has no {missing}"
            )
        if len(images) == 0:
            raise DataInvalid("images must have at least one example, got none")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set. Its labels are in memory, and its images too, or they are decoded when needed.

    Attributes:
      name: Name under which results are recorded: "cifar10", "shapes", ...
      classes: The class names, in the order of the labels.
      train: The training set.
      validation: The validation set, or None.
      test: The test set.
      mean: Mean of each channel over training and validation set, pixels scaled to 0..1.
      std: Standard deviation of each channel over the same pixels.
      fingerprint: Digest of the arrays' content.
      unsplit: Whether the data came as one set, of which train, validation and test are shares.

    Raises:
      DataInvalid: A label is out of range, image shapes differ, or a statistic is not finite.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split | None
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    unsplit: bool = False

    def __post_init__(self) -> None:
        for part in ("train", "validation", "test"):
            split = getattr(self, part)
            if split is None:
                continue
            wrong = np.flatnonzero((split.labels < 0) | (split.labels >= self.num_classes))
            if wrong.size:
                raise DataInvalid(
                    f"{self.name}: the label of {part} example {wrong[0]} is "
                    f"{split.labels[wrong[0]]}, must be in 0..{self.num_classes - 1}"
                )
            if split.images.shape[1:] != self.image_shape:
                raise DataInvalid(
                    f"{self.name}: the images of {part} must have shape {self.image_shape} like "
                    f"those of train, got {split.images.shape[1:]}"
                )
        channels = self.image_shape[-1]
        if len(self.mean) != channels or len(self.std) != channels:
            raise DataInvalid(
                f"{self.name}: mean and std must have {channels} values, one for each channel"
            )
        if not all(np.isfinite(self.mean)) or not all(0 < s < np.inf for s in self.std):
            raise DataInvalid(
                f"{self.name}: mean must be finite and std positive, got {self.mean} and {self.std}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        _, height, width, channels = self.train.images.shape
        return height, width, channels

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)


@runtime_checkable
class DataConfig(Protocol):
    """The protocol of an experiment's `data` field: a frozen dataclass that loads a Dataset."""

    def resolve(self, data_dir: str | None = None) -> tuple[Any, str]:
        """Returns the config to load, and a note for the user on why (may be empty)."""

    def load(self, data_dir: str | None = None) -> Dataset:
        """Loads the data into memory."""


def digest(array: np.ndarray) -> str:
    """Returns the SHA-256 of an array's bytes, in hexadecimal; about 0.1 s for 184 MB.

    It does not depend on dtype and shape, which are checked separately.
    """
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def combined_digest(digests: list[str]) -> str:
    """Returns one fingerprint for several arrays, the SHA-256 of their digests."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def fingerprint(splits: Iterable[Split]) -> str:
    """Returns one fingerprint for the images and labels of several splits."""
    return combined_digest(
        [digest(np.asarray(a)) for split in splits for a in (split.images, split.labels)]
    )


# Mean and standard deviation of each channel, pixels scaled to 0..1.
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


def channel_statistics(*arrays: np.ndarray) -> Statistics:
    """Returns mean and standard deviation of each channel of u8[N,H,W,C], scaled to 0..1."""
    pixels = sum(images[..., 0].size for images in arrays)
    return statistics_of_sums(pixels, np.sum([channel_sums(one) for one in arrays], axis=0))


def channel_sums(images: np.ndarray) -> np.ndarray:
    """Returns i64[2,C], the sum and the sum of squares of each channel of u8[...,H,W,C]."""
    from PIL import Image

    channels = images.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    rows = images.reshape(-1, images.shape[-2], channels)
    for start in range(0, len(rows), 2**15):
        # Pillow counts bytes ten times as fast as np.bincount, which takes integers of 64 bits.
        block = rows[start : start + 2**15]
        picture = Image.fromarray(block if channels == 3 else block[..., 0])
        counts += np.reshape(picture.histogram(), counts.shape)
    levels = np.arange(256)
    return np.stack([counts @ levels, counts @ levels**2])


def statistics_of_sums(pixels: int, sums: np.ndarray) -> Statistics:
    """Returns mean and standard deviation of each channel, scaled to 0..1; rounded once each.

    Args:
      pixels: Number of pixels.
      sums: i64[2,C], as `channel_sums` returns them; those of several arrays may be added.
    """
    # Python's integers: the products would overflow 64 bits.
    total, squares = sums.tolist()
    mean = tuple(one / (255 * pixels) for one in total)
    variances = (
        (pixels * square - one**2) / (255 * pixels) ** 2
        for one, square in zip(total, squares, strict=True)
    )
    return mean, tuple(map(math.sqrt, variances))


def _first_not_finite(array: Any) -> str:
    """Names the first example with NaN or infinity; "" if there is none."""
    if array.dtype.kind != "f" or array.ndim == 0:
        return ""
    bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    return f"; example {bad[0]} holds NaN or infinity" if bad.size else ""

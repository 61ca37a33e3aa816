"""What a data set is to the rest of the program: checked arrays, and what is known of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from cnn_jax.errors import UserError


class DataUnavailable(UserError):
    """The data cannot be had here; the one-line message holds the path or command that fixes it."""


class DataInvalid(UserError):
    """The data is not what it should be; the one-line message names what is wrong and where."""


@dataclass(frozen=True, eq=False)
class Split:
    """The examples of one part of a data set.

    Attributes:
      images: u8[N,H,W,C].
      labels: i32[N], the indices of the classes.

    Raises:
      DataInvalid: another shape or dtype, or lengths that differ.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8:
            raise DataInvalid(
                f"images must be uint8 (0..255), got {images.dtype}{_first_not_finite(images)}"
            )
        if images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise DataInvalid(
                f"images must be u8[N,H,W,C] with C 1 or 3, got the shape {images.shape}"
            )
        if labels.dtype != np.int32 or labels.ndim != 1:
            raise DataInvalid(
                f"labels must be i32[N], got {labels.dtype} with the shape {labels.shape}"
                f"{_first_not_finite(labels)}"
            )
        if len(images) != len(labels):
            short, missing = min((len(images), "image"), (len(labels), "label"))
            raise DataInvalid(
                f"images and labels must be equally many, got {len(images)} images and "
                f"{len(labels)} labels: example {short} has no {missing}"
            )
        if len(images) == 0:
            raise DataInvalid("images must hold at least one example, got none")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes:
      name: What numbers made on it are filed under: "cifar10", "shapes", ...
      classes: The name of every class, in the order of the labels.
      train: What is trained on.
      validation: What choices are made on, or None.
      test: What the result is measured on.
      mean: Mean of each channel over the whole training set, of pixels scaled to 0..1.
      std: Standard deviation of each channel, likewise.
      fingerprint: Digest of the content of the arrays.

    Raises:
      DataInvalid: a label that names no class, image shapes that differ, or useless statistics.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split | None
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str

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
                    f"{self.name}: the images of {part} have the shape {split.images.shape[1:]}, "
                    f"those of train {self.image_shape}"
                )
        channels = self.image_shape[-1]
        if len(self.mean) != channels or len(self.std) != channels:
            raise DataInvalid(
                f"{self.name}: mean and std must have {channels} values, one a channel"
            )
        if not all(np.isfinite(self.mean)) or not all(0 < s < np.inf for s in self.std):
            raise DataInvalid(f"{self.name}: mean must be finite, std positive, got {self.std}")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.train.images.shape[1:]

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)


@runtime_checkable
class DataConfig(Protocol):
    """What a recipe says of its data: frozen, equal on every machine."""

    def resolve(self, data_dir: str | None = None) -> tuple[Any, str]:
        """The config that is loaded in the end, and a note for the user on why (may be empty)."""
        ...

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data in memory."""
        ...


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's content, in hexadecimal; about 0.1 s for 184 MB.

    The dtype and the shape are not part of it: they are checked where they matter.
    """
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def combined_digest(digests: list[str]) -> str:
    """One fingerprint for several arrays: SHA-256 of their digests, one a line."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of u8[N,H,W,C], of pixels scaled to 0..1."""
    counts = np.zeros((images.shape[-1], 256), np.int64)
    for start in range(0, len(images), 1000):  # bincount makes eight bytes of each
        for channel, count in enumerate(counts):
            block = images[start : start + 1000, ..., channel]
            count += np.bincount(block.ravel(), minlength=256)
    shares = counts / (images.size / len(counts))
    levels = np.arange(256) / 255
    mean = shares @ levels
    variance = shares @ levels**2 - mean**2
    return tuple(mean.tolist()), tuple(np.sqrt(np.maximum(variance, 0)).tolist())


def _first_not_finite(array: np.ndarray) -> str:
    """Names the first example that holds NaN or infinity; empty where there is none."""
    if array.dtype.kind != "f" or array.ndim == 0:
        return ""
    bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    return f"; example {bad[0]} holds NaN or infinity" if bad.size else ""

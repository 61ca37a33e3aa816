"""Reads the original files of data sets into memory, without extracting archives to disk."""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnn_jax.data.dataset import DataInvalid, DataUnavailable
from cnn_jax.errors import first_line

AGAIN = "delete it and download it again"
CIFAR_SHAPE = (3, 32, 32)
# Magic numbers of IDX files of bytes, by number of dimensions.
IDX = {1: 0x801, 3: 0x803}


class Examples(NamedTuple):
    """The examples of one split, in the order of the original files.

    Attributes:
      images: u8[N,H,W,C].
      labels: u8[N] by name of the label.
    """

    images: np.ndarray
    labels: Mapping[str, np.ndarray]


def verify(path: Path, sha256: str) -> None:
    """Checks the SHA-256 of a file.

    Raises:
      DataUnavailable: The file cannot be read.
      DataInvalid: The file has another checksum.
    """
    try:
        with open(path, "rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataUnavailable(f"{path} cannot be read ({error.strerror})") from error
    if checksum != sha256:
        raise DataInvalid(f"{path} has the SHA-256 {checksum} instead of {sha256}: {AGAIN}")


def cifar(archive: Path, files: tuple[str, ...], labels: tuple[str, ...]) -> Examples:
    """Reads files of CIFAR's binary version from their tar.gz.

    Args:
      archive: The tar.gz.
      files: The members to read, in this order.
      labels: Names of the label bytes that precede each image.

    Raises:
      DataInvalid: The archive is damaged or unsafe, or lacks a file.
    """
    found = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                safe = tarfile.data_filter(member, str(archive.parent))
                if safe.name in files and (stream := tar.extractfile(member)) is not None:
                    found[safe.name] = stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataInvalid(f"{archive} is damaged ({first_line(error)}): {AGAIN}") from error
    missing = sorted(set(files) - found.keys())
    if missing:
        raise DataInvalid(f"{archive} lacks {missing[0]}: {AGAIN}")
    content = np.frombuffer(b"".join(found[name] for name in files), np.uint8)
    record = len(labels) + int(np.prod(CIFAR_SHAPE))
    if content.size % record:
        raise DataInvalid(f"{archive} does not consist of records of {record} bytes: {AGAIN}")
    records = content.reshape(-1, record)
    return Examples(
        records[:, len(labels) :].reshape(-1, *CIFAR_SHAPE).transpose(0, 2, 3, 1),
        {name: records[:, place] for place, name in enumerate(labels)},
    )


def mnist(images: Path, labels: Path) -> Examples:
    """Reads a pair of gzipped IDX files of bytes (LeCun et al., 1998).

    Raises:
      DataInvalid: A file is damaged or of another kind.
    """
    return Examples(_idx(images, 3)[..., None], {"label": _idx(labels, 1)})


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """Reads u8[...]: a magic number, the size of each dimension (big-endian), then the bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataInvalid(f"{path} is damaged ({first_line(error)}): {AGAIN}") from error
    start = 4 * (1 + dimensions)
    header = np.frombuffer(content[:start].ljust(start, b"\0"), ">u4").tolist()
    if header[0] != IDX[dimensions] or len(content) - start != np.prod(header[1:]):
        raise DataInvalid(f"{path} is not an IDX file of {dimensions} dimensions: {AGAIN}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(header[1:])


def svhn(path: Path) -> Examples:
    """Reads a MATLAB file of SVHN's cropped digits, in which the digit 0 has the label 10.

    Raises:
      DataInvalid: The file is damaged or of another kind.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=("X", "y"))
        pixels, labels = content["X"], content["y"].reshape(-1)
    except Exception as error:  # a damaged file raises almost anything
        raise DataInvalid(f"{path} is damaged ({first_line(error)}): {AGAIN}") from error
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or not ((labels >= 1) & (labels <= 10)).all():
        raise DataInvalid(f"{path} does not contain u8 images with labels in 1..10: {AGAIN}")
    return Examples(np.moveaxis(pixels, -1, 0), {"label": (labels % 10).astype(np.uint8)})

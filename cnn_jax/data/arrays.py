"""Decoded arrays kept as .npy files: a folder of them is written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.errors import first_line
from cnn_jax.storage import files

Specification = tuple[tuple[int, ...], str]
# Bytes; what XLA asks for.
ALIGNMENT = 64
RECORD = "record.json"


class ArraysDamaged(Exception):
    """A kept array is missing, cut short or of another kind; the message names the file."""


def read(folder: Path, specifications: Mapping[str, Specification]) -> dict[str, np.ndarray]:
    """Reads the arrays of a folder into memory; pickled ones are refused.

    Args:
      folder: Holds `<name>.npy` for every name.
      specifications: The shape and dtype that each must have.

    Raises:
      ArraysDamaged: one of the files is not a whole array of that shape and dtype.
    """
    arrays = {}
    for name, (shape, dtype) in specifications.items():
        path = folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ArraysDamaged(f"{path} cannot be read ({first_line(error)})") from error
        if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
            kind = f"{getattr(array, 'dtype', '?')}{list(getattr(array, 'shape', []))}"
            raise ArraysDamaged(f"{path} holds {kind} and not {dtype}{list(shape)}")
        arrays[name] = _aligned(array)
    return arrays


def _aligned(array: np.ndarray) -> np.ndarray:
    """The array at an address that XLA on a CPU can use as it is, so that there is one copy."""
    buffer = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    aligned = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    aligned[...] = array
    return aligned


def write(
    folder: Path, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any] | None = None
) -> None:
    """Writes `<name>.npy` for every array, in the place of what the folder held.

    They are written into a folder beside it, which is then renamed: whoever is interrupted leaves
    nothing that could be taken for the whole. Call it with the folder locked.

    Args:
      folder: Where they go.
      arrays: What is written.
      record: What `read_record` shall give back; None: nothing is written of it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, f".{folder.name}.")
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, array in arrays.items():
            with open(temporary / f"{name}.npy", "wb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        if record is not None:
            files.write_atomically(temporary / RECORD, json.dumps(record).encode())
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_record(folder: Path) -> dict[str, Any]:
    """What was recorded of the arrays of a folder when they were written.

    Raises:
      ArraysDamaged: it is missing or not whole.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArraysDamaged(f"{path} cannot be read ({error})") from error
    if not isinstance(record, dict):
        raise ArraysDamaged(f"{path} holds no record")
    return record


def remove_leftovers(parent: Path, prefix: str) -> None:
    """Removes the temporary folders that interrupted writers left behind."""
    for leftover in parent.glob(f"{prefix}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)


def writable(folder: Path) -> bool:
    """Whether a folder, or the nearest above it that exists, may be written into.

    Root may write anywhere, but a folder without write permission is meant to stay as it is.
    """
    for place in (folder, *folder.parents):
        if place.exists():
            mode = place.stat().st_mode
            return place.is_dir() and bool(mode & 0o222) and os.access(place, os.W_OK)
    return False

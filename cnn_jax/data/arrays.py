"""Caches decoded arrays as .npy files: a folder of them is written completely or not at all."""

import contextlib
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.errors import first_line
from cnn_jax.storage import files

Specification = tuple[tuple[int, ...], str]
ALIGNMENT = 64  # bytes; what XLA:CPU requires to use an array without a copy
RECORD = "record.json"


class ArraysDamaged(Exception):
    """A cached file is missing, truncated or of another shape or dtype; the message names it."""


class Cached(NamedTuple):
    """Arrays by name, and the JSON record that is stored with them ({}: none)."""

    arrays: dict[str, np.ndarray]
    record: Mapping[str, Any]


def load_or_make(
    folder: Path, load: Callable[[], Cached | None], make: Callable[[str], Cached]
) -> Cached:
    """Loads the arrays of a cache folder; if there are none, makes and stores them.

    Of several processes that need the same arrays, one makes them while the others wait.

    Args:
      folder: The cache folder. If it cannot be written, the arrays are made at every start.
      load: Returns the cached arrays, or None if the folder has none that can be used. May raise
        ArraysDamaged.
      make: Makes the arrays, given a remark for the user on where they are stored.
    """
    with contextlib.suppress(ArraysDamaged):
        if (cached := load()) is not None:
            return cached
    if not writable(folder.parent):
        return make(f"repeated at every start, since {folder.parent} cannot be written")
    with files.locked(folder.parent / f".{folder.name}.lock"):
        try:
            cached = load()
        except ArraysDamaged as damage:
            notify(f"{damage}: making the arrays again.")
            cached = None
        if cached is None:
            cached = make(f"once; the arrays are cached in {folder}")
            try:
                write(folder, cached.arrays, cached.record)
            except OSError as error:
                notify(f"{folder} could not be written ({error}): the next start repeats this.")
    return cached


def read(folder: Path, specifications: Mapping[str, Specification]) -> dict[str, np.ndarray]:
    """Reads the arrays of a folder into memory, and never unpickles.

    Args:
      folder: Contains `<name>.npy` for every name.
      specifications: Shape and dtype of each array, by name.

    Raises:
      ArraysDamaged: A file is not a complete array of that shape and dtype.
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
            raise ArraysDamaged(f"{path} contains {kind} instead of {dtype}{list(shape)}")
        arrays[name] = _aligned(array)
    return arrays


def _aligned(array: np.ndarray) -> np.ndarray:
    """Copies an array to an aligned address, which XLA:CPU uses without another copy."""
    aligned = aligned_empty(array.shape, array.dtype)
    aligned[...] = array
    return aligned


def aligned_empty(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
    """An uninitialised array at an address that XLA:CPU uses without a copy."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)


def write(
    folder: Path, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any] | None = None
) -> None:
    """Replaces the content of a folder by `<name>.npy` for every array, and a record.

    Writes to a temporary folder, then renames it, so that an interrupted write is never mistaken
    for a complete one. Call it while holding a lock on the folder.

    Args:
      folder: The folder.
      arrays: The arrays by name.
      record: JSON object that `read_record` returns later; None or empty: no record.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, f".{folder.name}.")
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, array in arrays.items():
            place = temporary / f"{name}.npy"
            with open(place, "wb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                files.flush(file.fileno(), place)
        if record:
            files.write_atomically(temporary / RECORD, json.dumps(dict(record)).encode())
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_record(folder: Path) -> dict[str, Any]:
    """Reads the record that `write` stored with the arrays of a folder.

    Raises:
      ArraysDamaged: The record is missing or no JSON object.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArraysDamaged(f"{path} cannot be read ({error})") from error
    if not isinstance(record, dict):
        raise ArraysDamaged(f"{path} is not a JSON object")
    return record


def remove_leftovers(parent: Path, prefix: str) -> None:
    """Removes the temporary folders that interrupted writers have left."""
    for leftover in parent.glob(f"{prefix}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)


def writable(folder: Path) -> bool:
    """Whether a folder, or its nearest existing parent, may be written to.

    A folder without write permission counts as read-only for root too.
    """
    for place in (folder, *folder.parents):
        if place.exists():
            mode = place.stat().st_mode
            return place.is_dir() and bool(mode & 0o222) and os.access(place, os.W_OK)
    return False


def notify(line: str) -> None:
    """Prints a line for the user on stderr."""
    print(line, file=sys.stderr, flush=True)

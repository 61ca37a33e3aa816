"""Keeps decoded pictures in the user's cache folder.

The cache of a folder of pictures is a folder of parts. A part is `NAME.npy`, decoded pictures
u8[n,H,W,C], and `NAME.json`, which says which files they are. A part is written while later ones
are decoded, and never changed: an interrupted reading continues where it stopped, and a picture
that was added costs no more than itself.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data import arrays
from cnn_jax.data.dataset import digest
from cnn_jax.data.pictures.class_folders import Picture
from cnn_jax.data.pictures.decoding import decode_all, seconds_each
from cnn_jax.data.pictures.image_files import BadImage, Decoded
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.errors import first_line
from cnn_jax.runtime import host
from cnn_jax.storage import files, json_checks
from cnn_jax.terminal.console import RunConsole
from cnn_jax.terminal.timed_progress import TimedProgress

# Pictures in a part, and its bytes: what a kill may cost.
PART, PART_BYTES = 256, 2**26

# A file as it was when it was read: its name, its size in bytes, and the time of its last change.
Stamp = tuple[str, int, int]


class Row(NamedTuple):
    """Where a decoded picture is kept, and the size that the picture had.

    Attributes:
      part: Name of the part.
      number: Its number in the part.
      height: Height of the picture, upright, in pixels.
      width: Width of the picture, upright, in pixels.
    """

    part: str
    number: int
    height: int
    width: int


class PictureCache:
    """The decoded pictures of a folder, in one form.

    Args:
      folder: The cache folder; it need not exist. If it can't be written, the pictures are kept in
        memory.
      form: The form of the pictures.
    """

    def __init__(self, folder: Path, form: PictureForm):
        self._folder, self._form = folder, form
        # Where each picture is, or why it can't be read.
        self._known: dict[Stamp, Row | str] = {}
        self._in_memory: dict[str, np.ndarray] = {}
        self._digests: dict[str, str] = {}
        # Parts that this process has written or verified.
        self._trusted: set[str] = set()

    def read(self, root: Path, pictures: Sequence[Picture]) -> list[Row | str]:
        """Decodes the pictures that the cache lacks.

        Of several processes that read the same folder, one decodes while the others wait.

        Returns:
          Where each picture is, or why it can't be read.
        """
        stamps = [stamp_of(picture) for picture in pictures]
        with contextlib.ExitStack() as stack:
            writable = arrays.writable(self._folder.parent)
            if writable:
                lock = self._folder.parent / f".{self._folder.name}.lock"
                stack.enter_context(files.locked(lock))
            self._find_parts(set(stamps), remove=writable)
            missing = {
                stamp: picture
                for stamp, picture in zip(stamps, pictures, strict=True)
                if stamp not in self._known
            }
            if there := [stamp for stamp in missing if stamp[1] >= 0]:
                kept = None if not writable else f"they are cached in {self._folder}"
                announce(root, len(there), len(pictures), kept, self._folder.parent)
            if missing:
                self._decode(missing, writable)
        return [self._known[stamp] for stamp in stamps]

    def gather(self, rows: Sequence[Row]) -> np.ndarray:
        """u8[N,H,W,C] of these pictures, at an address that XLA:CPU uses without a copy.

        Raises:
          ArraysDamaged: A part has changed on disk. It is removed: `read` decodes it again.
        """
        gathered = arrays.aligned_empty((len(rows), *self._form.shape), np.uint8)
        wanted: dict[str, list[tuple[int, int]]] = {}
        for place, row in enumerate(rows):
            wanted.setdefault(row.part, []).append((place, row.number))
        with concurrent.futures.ThreadPoolExecutor(host.cores(), "gather") as pool:
            copies = [pool.submit(self._copy, *one, gathered) for one in wanted.items()]
            for copy in copies:
                copy.result()
        return gathered

    def _copy(self, part: str, pairs: Sequence[tuple[int, int]], gathered: np.ndarray) -> None:
        """Copies pictures of a part to their places, given as (place, number in the part)."""
        if part in self._in_memory:
            for place, number in pairs:
                gathered[place] = self._in_memory[part][number]
            return
        path, size = self._folder / f"{part}.npy", gathered[0].nbytes
        try:
            self._verify(part, path)
            # Read, not mapped: every page of a map would cost a fault.
            with open(path, "rb", buffering=0) as file:
                np.lib.format.read_magic(file)
                np.lib.format.read_array_header_1_0(file)
                start = file.tell()
                for place, number in pairs:
                    file.seek(start + number * size)
                    if file.readinto(gathered[place].reshape(-1).data) != size:
                        raise ValueError("cut short")
        except (OSError, ValueError, EOFError) as error:
            self._trusted.discard(part)
            path.with_suffix(".json").unlink(missing_ok=True)
            raise arrays.ArraysDamaged(
                f"{path} has changed on disk ({first_line(error)})"
            ) from error

    def _verify(self, part: str, path: Path) -> None:
        """Compares a part with its digest, once. Raises ValueError if it has changed."""
        if part not in self._trusted:
            images = np.load(path, mmap_mode="r", allow_pickle=False)
            if digest(images) != self._digests[part]:
                raise ValueError("wrong fingerprint")
            self._trusted.add(part)

    # -- Parts on disk

    def _find_parts(self, wanted: set[Stamp], remove: bool) -> None:
        """Looks up which pictures the cache has; removes parts of which no picture is wanted."""
        self._known = {}
        lists = sorted(self._folder.glob("*.json"))
        if remove:  # what killed writers left
            parts = {path.stem for path in lists}
            for path in self._folder.glob("*.*"):
                if path.stem not in parts or path.suffix == ".tmp":
                    path.unlink()
        for path in lists:
            try:
                content = json_checks.loads(path.read_bytes())
                fault = json_checks.fault(content, sha256=str, pictures=list, bad=list)
                known = {} if fault else _known(path.stem, content)
            except (OSError, ValueError, TypeError):
                known = {}
            if not wanted.isdisjoint(known):
                self._known |= known
                self._digests[path.stem] = content["sha256"]
            elif remove:
                path.unlink()
                path.with_suffix(".npy").unlink(missing_ok=True)

    def _decode(self, missing: dict[Stamp, Picture], writable: bool) -> None:
        """Decodes pictures and keeps them, part by part; an interruption loses none of them."""
        paths = [picture.path for picture in missing.values()]
        most = max(1, min(PART, PART_BYTES // int(np.prod(self._form.shape))))
        seconds = seconds_each()
        done: list[tuple[Stamp, Decoded | BadImage]] = []
        console = RunConsole(stderr=True)
        with (
            TimedProgress(seconds * len(paths), console) as progress,
            contextlib.closing(decode_all(paths, self._form)) as decoded,
        ):
            try:
                for number, one in enumerate(zip(missing, decoded, strict=True), 1):
                    done.append(one)
                    progress.done(seconds, f"{number:,} of {len(paths):,} pictures")
                    if len(done) == most:
                        kept, done = done, []
                        writable = self._keep(kept, writable)
            except BaseException as stop:
                if self._keep(done, writable):
                    stop.add_note("the pictures read so far are kept: the same command continues")
                raise
            self._keep(done, writable)

    def _keep(self, done: Sequence[tuple[Stamp, Decoded | BadImage]], writable: bool) -> bool:
        """Writes pictures as a part, or keeps them in memory; returns whether it could write."""
        if not done:
            return writable
        good = [(stamp, one) for stamp, one in done if isinstance(one, Decoded)]
        bad = [(stamp, one) for stamp, one in done if isinstance(one, BadImage)]
        images = np.empty((len(good), *self._form.shape), np.uint8)
        for number, (_, one) in enumerate(good):
            images[number] = one.image
        content: dict[str, Any] = {
            "pictures": [[*stamp, one.height, one.width] for stamp, one in good],
            "bad": [[*stamp, str(one)] for stamp, one in bad if not is_passing(one)],
            "sha256": digest(images),
        }
        text = json.dumps(content).encode()
        name = hashlib.sha256(text).hexdigest()[:32]
        self._known |= {stamp: str(one) for stamp, one in bad} | _known(name, content)
        self._digests[name] = content["sha256"]
        if writable:
            try:
                self._write(name, images, text)
                self._trusted.add(name)
                return True
            except OSError as error:
                arrays.notify(
                    f"{self._folder} could not be written ({error}): the next start repeats this."
                )
        self._in_memory[name] = images
        return False

    def _write(self, name: str, images: np.ndarray, text: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.npy"
        # Nothing waits for the disk: after a loss of power the digest tells.
        temporary = path.with_suffix(".tmp")
        with open(temporary, "wb") as file:
            np.save(file, images, allow_pickle=False)
        os.replace(temporary, path)
        temporary.write_bytes(text)
        os.replace(temporary, path.with_suffix(".json"))  # last: this makes it a part


def announce(root: Path, missing: int, number: int, kept: str | None, cache: Path) -> None:
    """Tells the user that pictures are read, and what is kept of them.

    Args:
      root: The folder of the pictures.
      missing: How many of them are read.
      number: How many there are.
      kept: What is kept; None: nothing, since the cache can't be written.
      cache: The folder of the cache.
    """
    which = f"{number:,}" if missing == number else f"{missing:,} of {number:,}"
    where = f"once; {kept}" if kept else f"repeated at every start, since {cache} cannot be written"
    arrays.notify(f"Reading {which} pictures of {root} ({where}).")


def _known(part: str, content: Any) -> dict[Stamp, Row | str]:
    """What a part says of each of its files. Raises TypeError or ValueError if it is damaged."""
    known: dict[Stamp, Row | str] = {}
    for number, (name, size, changed, height, width) in enumerate(content["pictures"]):
        known[name, size, changed] = Row(part, number, height, width)
    for name, size, changed, reason in content["bad"]:
        known[name, size, changed] = reason
    return known


def stamp_of(picture: Picture) -> Stamp:
    """A picture's file as it is now; a size of -1 if it is not there."""
    try:
        found = picture.path.stat()
    except OSError:
        return picture.name, -1, 0
    return picture.name, found.st_size, found.st_mtime_ns


def is_passing(error: BadImage) -> bool:
    """Whether the system, not the file's content, is the reason: it may be over at the next try."""
    return isinstance(error.__cause__, OSError | MemoryError) and bool(
        getattr(error.__cause__, "strerror", "memory")
    )

"""Remembers what the pictures of a folder are, without keeping their pixels.

The index is a file of lines, one for each picture that was decoded once: an interrupted reading
continues where it stopped, and a picture that was added costs no more than itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnn_jax.data import arrays
from cnn_jax.data.dataset import channel_sums
from cnn_jax.data.pictures.class_folders import Picture
from cnn_jax.data.pictures.decoding import in_threads, seconds_each
from cnn_jax.data.pictures.image_files import BadImage, decode
from cnn_jax.data.pictures.picture_cache import Stamp, announce, is_passing, stamp_of
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.storage import files, json_checks
from cnn_jax.terminal.console import RunConsole
from cnn_jax.terminal.timed_progress import TimedProgress

# Pictures between two writes: what a kill may cost.
BLOCK = 256


class Seen(NamedTuple):
    """What is known of a picture that was decoded.

    Attributes:
      height: Height of the picture, upright, in pixels.
      width: Width of the picture, upright, in pixels.
      digest: Of its pixels in the wanted form, in hexadecimal.
      sums: The sum and the sum of squares of each channel, as `dataset.channel_sums`.
    """

    height: int
    width: int
    digest: str
    sums: list[list[int]]


class PictureIndex:
    """The pictures of a folder that were decoded once, in one form.

    Args:
      path: The file; it need not exist. If it can't be written, the next start decodes again.
      form: The form of the pictures.
    """

    def __init__(self, path: Path, form: PictureForm):
        self._path, self._form = path, form

    def read(self, root: Path, pictures: Sequence[Picture]) -> list[Seen | str]:
        """Decodes the pictures that the index lacks.

        Of several processes that read the same folder, one decodes while the others wait.

        Returns:
          What is known of each picture, or why it can't be read.
        """
        stamps = [stamp_of(picture) for picture in pictures]
        with contextlib.ExitStack() as stack:
            writable = arrays.writable(self._path.parent)
            if writable:
                lock = self._path.with_name(f".{self._path.name}.lock")
                stack.enter_context(files.locked(lock))
            known = self._known(set(stamps), rewrite=writable)
            missing = {
                stamp: picture
                for stamp, picture in zip(stamps, pictures, strict=True)
                if stamp not in known
            }
            if missing:
                kept = f"{self._path} remembers what they are" if writable else None
                announce(root, len(missing), len(pictures), kept, self._path.parent)
                known |= self._decode(missing, writable)
        return [known[stamp] for stamp in stamps]

    def _known(self, wanted: set[Stamp], rewrite: bool) -> dict[Stamp, Seen | str]:
        """The entries of these pictures. If most of the file is on others, it is rewritten."""
        known: dict[Stamp, Seen | str] = {}
        try:
            lines = self._path.read_bytes().splitlines(keepends=True)
        except OSError:
            lines = []
        kept = []
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):  # cut short by a kill, or damaged
                *stamp, entry = json_checks.loads(line)
                name, size, changed = stamp
                if (name, size, changed) in wanted:
                    seen = isinstance(entry, list)
                    known[name, size, changed] = Seen(*entry) if seen else str(entry)
                    kept.append(line)
        cut_short = bool(lines) and not lines[-1].endswith(b"\n")
        if rewrite and (cut_short or 2 * len(kept) < len(lines)):
            complete = [line for line in kept if line.endswith(b"\n")]
            files.write_atomically(self._path, b"".join(complete))
        return known

    def _decode(self, missing: dict[Stamp, Picture], writable: bool) -> dict[Stamp, Seen | str]:
        def look(picture: Picture) -> Seen | BadImage:
            try:
                decoded = decode(picture.path, self._form)
            except BadImage as error:
                return error
            digest = hashlib.sha256(decoded.image.data).hexdigest()
            sums = channel_sums(decoded.image).tolist()
            return Seen(decoded.height, decoded.width, digest, sums)

        found: dict[Stamp, Seen | str] = {}
        seconds = seconds_each()
        with contextlib.ExitStack() as stack:
            progress = stack.enter_context(
                TimedProgress(seconds * len(missing), RunConsole(stderr=True))
            )
            looks = in_threads(look, missing.values(), self._form)
            stack.enter_context(contextlib.closing(looks))
            file = None
            if writable:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(open(self._path, "ab"))
            for number, (stamp, one) in enumerate(zip(missing, looks, strict=True), 1):
                found[stamp] = str(one) if isinstance(one, BadImage) else one
                if file and not (isinstance(one, BadImage) and is_passing(one)):
                    file.write(json.dumps([*stamp, found[stamp]]).encode() + b"\n")
                    if number % BLOCK == 0:
                        file.flush()
                progress.done(seconds, f"{number:,} of {len(missing):,} pictures")
        return found


def digests(seen: Sequence[Seen]) -> np.ndarray:
    """u8[N,32], the digest of each picture."""
    content = b"".join(bytes.fromhex(one.digest) for one in seen)
    return np.frombuffer(content, np.uint8).reshape(len(seen), -1)

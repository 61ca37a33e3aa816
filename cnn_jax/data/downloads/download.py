"""Downloads the original files of data sets: verified, with few retries and a line for each."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnn_jax.data import arrays
from cnn_jax.data.dataset import DataInvalid, DataUnavailable
from cnn_jax.data.downloads.certificates import ADVICE, context, is_untrusted
from cnn_jax.data.downloads.originals import verify
from cnn_jax.data.downloads.source import Original
from cnn_jax.errors import first_line
from cnn_jax.terminal.console import RunConsole
from cnn_jax.terminal.timed_progress import TimedProgress

# Seconds before the second and the third attempt.
PAUSES = (2.0, 5.0)
# Seconds to wait for a connection, or for more of an answer.
LIMIT = 30
BLOCK = 2**20
# Bytes a second, a first estimate.
SPEED = 5e6
# Answers after which another attempt may succeed: those of a server or proxy in trouble.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


def download(original: Original, folder: Path) -> Path:
    """Downloads a file into a folder, and verifies its SHA-256.

    There are three attempts; what an attempt has received is not fetched again. If they fail,
    nothing of the file is left.

    Returns:
      The file's path.

    Raises:
      DataUnavailable: The server can't be reached, or does not send this file.
      OSError: The folder can't be written.
    """
    path = folder / original.name
    part = path.with_name(f"{original.name}.part")
    try:
        for number, pause in enumerate((*PAUSES, None), 1):
            try:
                _fetch(original.url, part)
                break
            except _Failed as failure:
                if pause is None or not failure.may_pass:
                    raise DataUnavailable(f"{original.url}: {failure}") from failure.__cause__
                left = len(PAUSES) + 1 - number
                arrays.notify(
                    f"{original.url}: {failure}; trying again in {pause:.0f} s "
                    f"({left} {'try' if left == 1 else 'tries'} left)."
                )
                time.sleep(pause)
        try:
            verify(part, original.sha256)
        except DataInvalid as error:
            raise DataUnavailable(
                f"{original.url} sends another file than the original, whose SHA-256 is "
                f"{original.sha256}: perhaps a proxy or a login page answers instead"
            ) from error
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


class _Failed(Exception):
    """An attempt failed; another one may succeed if `may_pass`."""

    def __init__(self, reason: str, may_pass: bool):
        super().__init__(reason)
        self.may_pass = may_pass


def _fetch(url: str, part: Path) -> None:
    """Appends to a file what it lacks of a URL's content."""
    have = part.stat().st_size if part.exists() else 0
    # Servers that know nothing of ranges send the whole file.
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    trusted = context()
    with _failures():
        answer = urllib.request.urlopen(request, timeout=LIMIT, context=trusted)
    with answer:
        have = have if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        size = have + int(length) if length else None
        with open(part, "ab" if have else "wb") as file, _progress(size, have) as progress:
            while block := _read(answer):
                file.write(block)
                done = f"{file.tell() / 1e6:,.0f}"
                progress.done(
                    len(block) / SPEED, f"{done} of {size / 1e6:,.0f} MB" if size else f"{done} MB"
                )
            if size and file.tell() < size:
                raise _Failed("the connection broke off", may_pass=True)


def _read(answer: Any) -> bytes:
    with _failures():
        return answer.read(BLOCK)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Converts the errors of a block that uses the connection alone, and no disk, to `_Failed`."""
    try:
        yield
    except urllib.error.HTTPError as error:
        reason = f"the server answers {error.code} {error.reason}".rstrip()
        raise _Failed(reason, error.code in PASSING) from error
    except urllib.error.URLError as error:
        raise _failed(error.reason if isinstance(error.reason, Exception) else error) from error
    except (http.client.HTTPException, OSError) as error:
        raise _failed(error) from error


def _failed(error: Exception) -> _Failed:
    if is_untrusted(error):
        return _Failed(f"{first_line(error)}: {ADVICE}", may_pass=False)
    return _Failed(first_line(error) or type(error).__name__, may_pass=True)


def _progress(size: int | None, have: int) -> TimedProgress:
    progress = TimedProgress((size or 0) / SPEED, RunConsole(stderr=True))
    progress.done(have / SPEED, "")
    return progress

"""Writes files atomically and flushes them to disk."""

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.storage.locks import LockHeld, locked

# Errors of a full disk, which do not mean that the user chose a wrong folder.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Errors of file systems on which `fsync` does not exist: FUSE and SMB, mostly for folders.
_CANNOT_FLUSH = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})

__all__ = [
    "NO_ROOM",
    "LockHeld",
    "absolute",
    "flush",
    "flushing",
    "locked",
    "named",
    "remove",
    "sync",
    "write_atomically",
]

LOG = logging.getLogger(__name__)
_warned_devices: set[int] = set()


def absolute(path: str) -> str:
    """Returns a path without ~, from the root; links stay."""
    return os.path.abspath(os.path.expanduser(path))


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a kill at any moment leaves the old or the new content.

    If two processes write it at once, the file has the content of one of them.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with named(path), open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            flush(file.fileno(), path)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def remove(path: Path) -> None:
    """Removes a folder, ignoring errors, or a file or link of that name."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """A block that writes a file: adds its name to an OSError without one (full disk)."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def sync(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to disk; see `flushing`."""
    with named(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            flush(descriptor, path)
        finally:
            os.close(descriptor)


def flush(descriptor: int, path: Path) -> None:
    """Flushes an open file or folder to disk; `path` names it in messages."""
    with flushing(path):
        os.fsync(descriptor)


@contextlib.contextmanager
def flushing(path: Path) -> Iterator[None]:
    """A block that flushes a file or folder to disk as its last act.

    Some network and FUSE file systems cannot flush, above all not folders. There, a warning is
    logged, once for each file system, and the rest is left to it. Other errors name `path`.
    """
    try:
        with named(path):
            yield
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
        folder = path if path.is_dir() else path.parent
        device = folder.stat().st_dev
        if device not in _warned_devices:
            _warned_devices.add(device)
            LOG.warning(
                "%s: this file system cannot flush to disk (%s); if the machine crashes or loses "
                "power, the newest files may be lost",
                folder,
                error.strerror,
            )

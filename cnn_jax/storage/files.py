"""Writes files atomically, and locks between processes. Uses only the standard library."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

# Errors of a full disk, which do not mean that the user chose a wrong folder.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


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
    """Flushes a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """A block that holds a lock between processes, which also ends when the process does.

    Args:
      path: The lock file, created if missing and never removed; contains the holder's process ID.
      wait: Whether to wait for another process that holds the lock.

    Raises:
      BlockingIOError: Another process holds the lock and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        file.truncate(0)
        with named(path):
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield

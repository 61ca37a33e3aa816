"""Files that are whole or not there, and locks between processes. The standard library only."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

# Errors that say that there is no room left: nobody's mistake, and a folder that was well chosen.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that a kill at any moment leaves either as it was or as it shall be.

    Of two processes that write it at once, one has its way.
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
    """A block that writes a file: an OSError that names none, as that of a full disk, names it."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def sync(path: Path) -> None:
    """Waits until a file, or which names a folder has, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Holds a lock between processes; it ends with the process that holds it, however that ends.

    Args:
      path: The lock file, made if absent, and left behind. It names the holder's process number.
      wait: Whether to wait for a process that holds it.

    Raises:
      BlockingIOError: another process holds it, and `wait` is off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        file.truncate(0)
        with named(path):
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield

"""Locks between processes, on one machine or on a file system that several machines share."""

import contextlib
import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

# Errors of file systems without `flock`: Lustre mounted without it, NFS without its lock service.
_NO_FLOCK = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
_POLL_SECONDS = 1.0  # between looks at a soft lock: each is a request to a file server

LOG = logging.getLogger(__name__)
_warned_folders: set[Path] = set()


class LockHeld(BlockingIOError):
    """Another process holds a lock.

    Attributes:
      holder: Which: "process 123", or "process 123 on node7" if that is another machine.
      marker: The file to delete if that process no longer runs; None if the lock ends with it.
    """

    def __init__(self, path: Path, marker: Path | None = None):
        self.holder = _holder(marker or path)
        self.marker = marker
        super().__init__(errno.EWOULDBLOCK, f"{self.holder} holds the lock", str(path))


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """A block that holds a lock between processes, which also ends when the process does.

    On a file system without `flock`, a warning is logged and a soft lock is held instead: the
    existence of the file PATH.held. If its holder is killed, another process on the same machine
    removes that file; a process on another machine can't know, so a person must delete it.

    Args:
      path: The lock file, created if missing; it contains the holder's process ID and host, and
        stays.
      wait: Whether to wait for another process that holds the lock.

    Raises:
      LockHeld: Another process holds the lock and `wait` is False. It is a BlockingIOError.
      OSError: The lock cannot be taken; the error names its file.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_flock(path, wait))
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                error.filename = error.filename or str(path)
                raise
            _warn_once(path.parent, error)
            stack.enter_context(_soft_lock(path, wait))
        yield


@contextlib.contextmanager
def _flock(path: Path, wait: bool) -> Iterator[None]:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise LockHeld(path) from None
            if not _is_at(path, file.fileno()):  # the holder before removed it, with its folder
                continue
            try:
                file.truncate(0)
                file.write(f"{os.getpid()}\n{socket.gethostname()}\n")
                file.flush()
            except OSError:  # a full disk
                path.unlink(missing_ok=True)
                raise
            yield
            return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _soft_lock(path: Path, wait: bool) -> Iterator[None]:
    import filelock

    marker = path.with_name(f"{path.name}.held")
    lock = filelock.SoftFileLock(marker, poll_interval=_POLL_SECONDS)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        held = LockHeld(path, marker)
        if not wait:
            raise held from None
        LOG.warning(
            "waiting for %s, which holds %s; if it no longer runs, delete that file",
            held.holder,
            marker,
        )
        lock.acquire(timeout=-1)
    try:
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    """The process that a lock file names; a soft lock's file also begins with process and host."""
    try:
        process, host, *_ = [*path.read_text().splitlines(), "", ""]
    except (OSError, UnicodeError):  # it may just have been released
        process = host = ""
    host = host.partition("?")[0]  # filelock appends the container's process namespace
    elsewhere = f" on {host}" if host and host != socket.gethostname() else ""
    return f"process {process}{elsewhere}" if process else "another process"


def _warn_once(folder: Path, error: OSError) -> None:
    if folder not in _warned_folders:
        _warned_folders.add(folder)
        LOG.warning(
            "%s: this file system has no file locks (%s); a file stands for the lock, and has to "
            "be deleted by hand if the process that holds it is killed on another machine",
            folder,
            error.strerror,
        )

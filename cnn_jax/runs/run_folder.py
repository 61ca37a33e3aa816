"""The folder of a run that begins: created under a free name, and left as it was if it fails."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.storage import files

# What a run writes before its first step, and what shows that it has recorded something.
_WRITTEN_FIRST = ("config.json", "manifest.json", "tensorboard")
_RECORDED = ("metrics.jsonl", "checkpoints", "figures", "evaluations", "profile")


@contextlib.contextmanager
def created(folder: Path, *, free_name: bool = False) -> Iterator[Path]:
    """A block for which a folder exists; if it fails, the folders created for it are removed again.

    Those that are not empty stay.

    Args:
      folder: The folder.
      free_name: Whether to create a folder of that name, or of the first name FOLDER-1, FOLDER-2
        and so on that no process has taken.

    Yields:
      The folder.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    if free_name:
        folder = _create_free(folder)
        missing = [folder, *(place for place in missing if place in folder.parents)]
    else:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):  # from the first that is not empty, or is gone
            for place in missing:
                place.rmdir()
        raise


def _create_free(folder: Path) -> Path:
    # First: below a link to a folder that is gone, every name would look taken.
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        place = folder.with_name(f"{folder.name}-{number}") if number else folder
        with contextlib.suppress(FileExistsError):
            place.mkdir()
            return place
    raise AssertionError("unreachable")


@contextlib.contextmanager
def undone_unless_recorded(folder: Path, lock: Path) -> Iterator[None]:
    """A block in which a run begins: if it fails before it records anything, its files are removed.

    The same folder can then take another experiment. Files that were there before stay.

    Args:
      folder: The run's folder, which this process has locked.
      lock: The lock file; removed with the rest if the folder holds nothing else.
    """
    new = {
        name: folder / name
        for name in (*_WRITTEN_FIRST, *_RECORDED)
        if not os.path.lexists(folder / name)
    }
    begun = "config.json" not in new
    try:
        yield
    except BaseException:
        if not begun and not any(_filled(folder / name) for name in _RECORDED):
            for path in new.values():
                files.remove(path)
            if folder.is_dir() and {path.name for path in folder.iterdir()} <= {
                lock.name,
                f"{lock.name}.held",
            }:
                lock.unlink(missing_ok=True)
        raise


def _filled(path: Path) -> bool:
    """Whether a path is a file that is not empty, or a folder that holds something."""
    if path.is_dir():
        return any(path.iterdir())
    return path.is_file() and path.stat().st_size > 0

"""Finds the picture files of a folder, for training and prediction alike."""

import collections
import os
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from cnn_jax.data.pictures.picture_formats import FORMATS, extensions

# Extensions of pictures that are not read. A person would miss them, unlike other files.
NOT_READ = frozenset(
    (
        ".arw", ".cr2", ".cr3", ".dds", ".dng", ".eps", ".exr", ".hdr", ".heic", ".heif", ".hif",
        ".ico", ".j2k", ".jp2", ".jxl", ".nef", ".orf", ".pcx", ".pef", ".pfm", ".psd", ".raf",
        ".raw", ".rw2", ".srw", ".svg", ".tga",
    )
)  # fmt: skip
# Folders that systems and programs put beside a user's files: thumbnails, recycle bins, snapshots,
# and what a Mac's zip brings along. Names that begin with a dot are ignored as well.
MACHINE_FOLDERS = frozenset(
    name.casefold()
    for name in (
        "@eaDir", "@tmp", "@Recycle", "@Recently-Snapshot", "@SynoResource", "@__thumb",
        "@sharebin", "#recycle", "#snapshot", "~snapshot", "$RECYCLE.BIN", "RECYCLER", "RECYCLED",
        "System Volume Information", "FOUND.000", "__MACOSX", "Network Trash Folder",
        "Temporary Items", "TheVolumeSettingsFolder", "lost+found", "_vti_cnf", "__pycache__",
        "__thumbs", "_thumbs", "_thumbnails", "@__qini",
    )
)  # fmt: skip
MACHINE_FILES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))


class Found(NamedTuple):
    """The content of a folder and its sub-folders.

    Attributes:
      pictures: The files with the extension of a picture, dangling links included, sorted.
      not_read: Pictures in formats that are not read, such as HEIC, sorted.
      passed_over: Number of other files, and of those in `not_read`, by extension.
      ignored: Number of files in folders made by machines, by the folder's name.
      circular: Links to a folder that contains them, which are not followed.
    """

    pictures: list[Path]
    not_read: list[Path]
    passed_over: collections.Counter[str]
    ignored: collections.Counter[str]
    circular: list[Path]


def find(folder: Path, on_error: Callable[[OSError], object] | None = None) -> Found:
    """Finds the pictures of a folder and its sub-folders, in order of their paths.

    Links to folders are followed, unless they lead to a folder that contains them. Names that begin
    with a dot are ignored, and so is what machines put there (`MACHINE_FOLDERS`).

    Args:
      folder: The folder.
      on_error: Called with the error of a folder that can't be read; None: it is left out.
    """
    found = Found([], [], collections.Counter(), collections.Counter(), [])
    _find(folder, found, (), on_error)
    return found


def _find(
    folder: Path,
    found: Found,
    above: tuple[str, ...],
    on_error: Callable[[OSError], object] | None,
) -> None:
    real = os.path.realpath(folder)
    if real in above or any(place.startswith(real + os.sep) for place in above):
        found.circular.append(folder)
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if on_error:
            on_error(error)
        return
    for entry in entries:
        path = folder / entry.name
        if _is_folder(entry):
            if made_by_machine(entry.name):
                found.ignored[entry.name] += _files_below(path)
            elif not entry.name.startswith("."):
                _find(path, found, (*above, real), on_error)
        elif not entry.name.startswith(".") and entry.name.casefold() not in MACHINE_FILES:
            extension = path.suffix.lower()
            if extension in extensions():
                found.pictures.append(path)
                continue
            if extension in NOT_READ or extension in chain(*FORMATS.values()):
                found.not_read.append(path)
            found.passed_over[extension or "no extension"] += 1


def counted(files: collections.Counter[str]) -> str:
    """Counts of files by extension, as text: "30 .heic, 2 .txt"."""
    most_first = sorted(files.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {extension}" for extension, number in most_first)


def in_machine_folders(folder: Path) -> collections.Counter[str]:
    """Number of files in a folder's sub-folders that machines made, by the sub-folder's name."""
    with os.scandir(folder) as entries:
        made = [entry for entry in entries if made_by_machine(entry.name) and _is_folder(entry)]
    return collections.Counter({entry.name: _files_below(entry.path) for entry in made})


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _files_below(folder: str | Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def made_by_machine(name: str) -> bool:
    """Whether a folder of this name is put beside a user's files by a system or a program."""
    return name.casefold() in MACHINE_FOLDERS


def sub_folders(folder: Path) -> list[Path]:
    """The sub-folders of a folder by name, and links to folders, without hidden and machine-made.

    Raises:
      OSError: The folder can't be read.
    """
    with os.scandir(folder) as entries:
        return sorted(
            folder / entry.name
            for entry in entries
            if not entry.name.startswith(".")
            and not made_by_machine(entry.name)
            and _is_folder(entry)
        )

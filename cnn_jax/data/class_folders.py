"""Which pictures a folder of classes holds, and which of them are for training and for the test."""

from __future__ import annotations

import collections
import hashlib
import os
from pathlib import Path
from typing import NamedTuple, NoReturn

from cnn_jax.data.dataset import DataInvalid, DataUnavailable
from cnn_jax.data.image_files import EXTENSIONS


class Picture(NamedTuple):
    """A file of a class.

    Attributes:
      path: The file.
      name: Its path from the folder on, with slashes.
      label: Index of its class.
    """

    path: Path
    name: str
    label: int


class Listing(NamedTuple):
    """What a folder holds.

    Attributes:
      classes: The names of the classes, sorted.
      train: The pictures to train on, in an order that is a function of their names alone.
      test: The pictures to test on, likewise.
      passed_over: Number of files of every extension that is not a picture's.
    """

    classes: tuple[str, ...]
    train: list[Picture]
    test: list[Picture]
    passed_over: dict[str, int]


def list_pictures(root: Path, test: float) -> Listing:
    """Lists `root/train/CLASS/` and `root/test/CLASS/`, or else `root/CLASS/`, cut in two.

    Folders within a class belong to it. What begins with a dot is left out, and so are links to
    folders within a class, which may lead in circles.

    Args:
      root: The folder.
      test: Share of every class that is cut for the test where the folder makes no difference.

    Raises:
      DataUnavailable: there is no such folder.
      DataInvalid: fewer than two classes, a class without a picture to train on, one that only the
        test has, nothing to test on, or a folder that can't be read.
    """
    if not root.is_dir():
        raise DataUnavailable(
            f"{root} is not a folder: name one that holds a folder for each class"
        )
    train_root, test_root = _layout(root)
    folders = _folders(train_root)
    classes = tuple(folder.name for folder in folders)
    if len(classes) < 2:
        raise DataInvalid(
            f"{train_root} must hold a folder for each of two classes or more, found {len(classes)}"
        )
    passed_over: collections.Counter[str] = collections.Counter()
    train: list[Picture] = []
    tests: list[Picture] = []
    for label, folder in enumerate(folders):
        pictures = _pictures(root, folder, label, passed_over)
        if not pictures:
            raise DataInvalid(
                f"{folder} holds no pictures ({', '.join(EXTENSIONS)}): fill or remove it"
            )
        cut = 0 if test_root else min(round(test * len(pictures)), len(pictures) - 1)
        tests += pictures[:cut]
        train += pictures[cut:]
    for folder in _folders(test_root) if test_root else ():
        if folder.name not in classes:
            raise DataInvalid(f"{folder} is of a class that {train_root} lacks")
        tests += _pictures(root, folder, classes.index(folder.name), passed_over)
    if not tests:
        raise DataInvalid(f"{test_root or root} holds no pictures to test on")
    return Listing(classes, sorted(train, key=_place), sorted(tests, key=_place), passed_over)


def _layout(root: Path) -> tuple[Path, Path | None]:
    """Where the classes are, and where those of the test are if they are apart."""
    train, test = root / "train", root / "test"
    if train.is_dir() and test.is_dir():
        return train, test
    if train.is_dir() and _folders(train):
        raise DataInvalid(
            f"{root} has train but not test: add {test}, or name {train} itself, of which a share "
            "is then cut for the test"
        )
    return root, None


def _folders(parent: Path) -> list[Path]:
    """The folders in a folder, by name."""
    try:
        found = [
            path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")
        ]
    except OSError as error:
        _unreadable(error)
    for path in found:
        if parent.resolve().is_relative_to(path.resolve()):
            raise DataInvalid(f"{path} is a link to a folder that it is in itself: remove it")
    return sorted(found)


def _pictures(
    root: Path, folder: Path, label: int, passed_over: collections.Counter[str]
) -> list[Picture]:
    """The pictures of a class; what is no picture is counted."""
    found = []
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith("."):
                continue
            path = Path(parent, name)
            extension = path.suffix.lower()
            if extension in EXTENSIONS:
                found.append(Picture(path, path.relative_to(root).as_posix(), label))
            else:
                passed_over[extension or "no extension"] += 1
    return sorted(found, key=_place)


def _place(picture: Picture) -> bytes:
    """What pictures are sorted by: as good as drawn, yet the same wherever the folder lies."""
    return hashlib.sha256(os.fsencode(picture.name)).digest()


def _unreadable(error: OSError) -> NoReturn:
    raise DataInvalid(f"{error.filename} cannot be read ({error.strerror})") from error

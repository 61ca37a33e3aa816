"""Which pictures a folder of classes holds, and what each of them is for."""

from __future__ import annotations

import collections
import hashlib
import os
from pathlib import Path
from typing import NamedTuple, NoReturn

from cnn_jax.data.dataset import DataInvalid, DataUnavailable
from cnn_jax.data.image_files import EXTENSIONS

PURPOSES = {"train": "train", "test": "test", "validation": "validate"}
# What the folder of images to validate on is called.
VALIDATION = ("val", "valid", "validation")


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
      parts: The pictures of "train", "test" and, where the folder has it, "validation", in an order
        that is a function of their names alone.
      passed_over: Number of files of every extension that is not a picture's.
    """

    classes: tuple[str, ...]
    parts: dict[str, list[Picture]]
    passed_over: dict[str, int]


def list_pictures(root: Path, test: float) -> Listing:
    """Lists `root/train/CLASS/` and `root/test/CLASS/`, or else `root/CLASS/`, cut in two.

    Beside the first two there may be `root/val/CLASS/` (or `valid`, or `validation`).

    Folders within a class belong to it. What begins with a dot is left out, and so are links to
    folders within a class, which may lead in circles.

    Args:
      root: The folder.
      test: Share of every class that is cut for the test where the folder makes no difference.

    Raises:
      DataUnavailable: there is no such folder.
      DataInvalid: fewer than two classes, a class without a picture to train on, one that training
        lacks, nothing to test or to validate on, or a folder that can't be read.
    """
    if not root.is_dir():
        raise DataUnavailable(
            f"{root} is not a folder: name one that holds a folder for each class"
        )
    apart = _layout(root)
    train_root = apart.pop("train", root)
    folders = _folders(train_root)
    classes = tuple(folder.name for folder in folders)
    if len(classes) < 2:
        raise DataInvalid(
            f"{train_root} must hold a folder for each of two classes or more, found {len(classes)}"
        )
    passed_over: collections.Counter[str] = collections.Counter()
    parts: dict[str, list[Picture]] = {"train": [], "test": []}
    for label, folder in enumerate(folders):
        pictures = _pictures(root, folder, label, passed_over)
        if not pictures:
            raise DataInvalid(
                f"{folder} holds no pictures ({', '.join(EXTENSIONS)}): fill or remove it"
            )
        cut = 0 if apart else min(round(test * len(pictures)), len(pictures) - 1)
        parts["test"] += pictures[:cut]
        parts["train"] += pictures[cut:]
    for part, part_root in apart.items():
        parts[part] = []
        for folder in _folders(part_root):
            if folder.name not in classes:
                raise DataInvalid(f"{folder} is of a class that {train_root} lacks")
            parts[part] += _pictures(root, folder, classes.index(folder.name), passed_over)
    for part, pictures in parts.items():
        if not pictures:
            raise DataInvalid(f"{apart.get(part, root)} holds no pictures to {PURPOSES[part]} on")
    ordered = {part: sorted(pictures, key=_place) for part, pictures in parts.items()}
    return Listing(classes, ordered, passed_over)


def _layout(root: Path) -> dict[str, Path]:
    """Where the classes of each part are; empty where the parts are not apart."""
    train, test = root / "train", root / "test"
    if train.is_dir() and test.is_dir():
        apart = {"train": train, "test": test}
        for path in (root / name for name in VALIDATION):
            if path.is_dir():
                if "validation" in apart:
                    other = apart["validation"]
                    raise DataInvalid(f"{other} and {path}: which one is to validate on?")
                apart["validation"] = path
        return apart
    if train.is_dir() and _folders(train):
        raise DataInvalid(
            f"{root} has train but not test: add {test}, or name {train} itself, of which a share "
            "is then cut for the test"
        )
    return {}


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

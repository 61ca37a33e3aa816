"""Lists the images of a folder with one sub-folder for each class, and splits them."""

import collections
import hashlib
import os
from pathlib import Path
from typing import NamedTuple, NoReturn

from cnn_jax.data.dataset import DataInvalid, DataUnavailable
from cnn_jax.data.image_files import EXTENSIONS

PURPOSES = {"train": "train", "test": "test", "validation": "validate"}
# Accepted names of the folder of validation images.
VALIDATION = ("val", "valid", "validation")


class Picture(NamedTuple):
    """An image file and its class.

    Attributes:
      path: The file.
      name: Path relative to the root, with slashes.
      label: Class index.
    """

    path: Path
    name: str
    label: int


class Listing(NamedTuple):
    """The content of a folder of classes.

    Attributes:
      classes: The class names, sorted.
      parts: The pictures of "train", "test" and, if the folder has it, "validation", in an order
        that depends only on their names.
      passed_over: Number of files that are no images, by extension.
    """

    classes: tuple[str, ...]
    parts: dict[str, list[Picture]]
    passed_over: dict[str, int]


def list_pictures(root: Path, test: float) -> Listing:
    """Lists `root/train/CLASS/` and `root/test/CLASS/`, or else splits `root/CLASS/`.

    Beside the first two there may be `root/val/CLASS/` (or `valid`, or `validation`).

    Sub-folders of a class belong to it. Names that begin with a dot are ignored, and so are links
    to folders within a class, which may be circular.

    Args:
      root: The folder.
      test: Share of every class used for testing if the folder has no `train` and `test`.

    Raises:
      DataUnavailable: The folder does not exist.
      DataInvalid: There are fewer than two classes, a class without training images, a class that
        only `test` or `val` has, no test or validation images, or an unreadable folder.
    """
    if not root.is_dir():
        raise DataUnavailable(
            f"{root} is not a folder: name one that has a sub-folder for each class"
        )
    apart = _layout(root)
    train_root = apart.pop("train", root)
    folders = _folders(train_root)
    classes = tuple(folder.name for folder in folders)
    if len(classes) < 2:
        raise DataInvalid(
            f"{train_root} must have a sub-folder for each of at least two classes, "
            f"got {len(classes)}"
        )
    passed_over: collections.Counter[str] = collections.Counter()
    parts: dict[str, list[Picture]] = {"train": [], "test": []}
    for label, folder in enumerate(folders):
        pictures = _pictures(root, folder, label, passed_over)
        if not pictures:
            raise DataInvalid(
                f"{folder} has no images ({', '.join(EXTENSIONS)}): add some or remove it"
            )
        cut = 0 if apart else min(round(test * len(pictures)), len(pictures) - 1)
        parts["test"] += pictures[:cut]
        parts["train"] += pictures[cut:]
    for part, part_root in apart.items():
        parts[part] = []
        for folder in _folders(part_root):
            if folder.name not in classes:
                raise DataInvalid(f"{folder} is a class that {train_root} lacks: add or remove it")
            parts[part] += _pictures(root, folder, classes.index(folder.name), passed_over)
    for part, pictures in parts.items():
        if not pictures:
            raise DataInvalid(
                f"{apart.get(part, root)} has no images to {PURPOSES[part]} on: add some"
            )
    ordered = {part: sorted(pictures, key=_shuffle_key) for part, pictures in parts.items()}
    return Listing(classes, ordered, passed_over)


def _layout(root: Path) -> dict[str, Path]:
    """Returns the folder of each part; empty if all parts are in one folder."""
    train, test = root / "train", root / "test"
    if train.is_dir() and test.is_dir():
        names = [name for name in VALIDATION if (root / name).is_dir()]
        if len(names) > 1:
            raise DataInvalid(f"{root} has both {names[0]} and {names[1]}: remove one")
        validation = {"validation": root / names[0]} if names else {}
        return {"train": train, "test": test, **validation}
    if train.is_dir() and _folders(train):
        raise DataInvalid(
            f"{root} has train but not test: add {test}, or name {train} itself, a share of which "
            "then becomes the test set"
        )
    return {}


def _folders(parent: Path) -> list[Path]:
    try:
        found = [
            path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")
        ]
    except OSError as error:
        _unreadable(error)
    for path in found:
        if parent.resolve().is_relative_to(path.resolve()):
            raise DataInvalid(f"{path} is a link to a folder that contains it: remove it")
    return sorted(found)


def _pictures(
    root: Path, folder: Path, label: int, passed_over: collections.Counter[str]
) -> list[Picture]:
    """Lists the pictures of a class, and counts the other files in `passed_over`."""
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
    return sorted(found, key=_shuffle_key)


def _shuffle_key(picture: Picture) -> bytes:
    """Sort key: a pseudo-random order that does not depend on where the folder is."""
    return hashlib.sha256(os.fsencode(picture.name)).digest()


def _unreadable(error: OSError) -> NoReturn:
    raise DataInvalid(f"{error.filename} cannot be read ({error.strerror})") from error

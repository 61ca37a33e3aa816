"""Lists the pictures of a folder with one sub-folder for each class, and splits them."""

import collections
import hashlib
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from cnn_jax.data.dataset import DataInvalid, DataUnavailable
from cnn_jax.data.pictures import picture_files
from cnn_jax.data.pictures.picture_formats import extensions
from cnn_jax.data.pictures.split_folders import find_splits, same_sub_folders
from cnn_jax.errors import some

PURPOSES = {"train": "train", "test": "test", "validation": "validate"}


class Picture(NamedTuple):
    """A picture file and its class.

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
      split: Whether the folder itself separates the parts.
      notes: Lines for the user on what was found.
    """

    classes: tuple[str, ...]
    parts: dict[str, list[Picture]]
    split: bool
    notes: list[str]

    @property
    def pictures(self) -> list[Picture]:
        """The pictures of all parts."""
        return [picture for part in self.parts.values() for picture in part]


def list_pictures(root: Path, test: float) -> Listing:
    """Lists `root/train/CLASS/` and `root/test/CLASS/`, or else splits `root/CLASS/`.

    `split_folders.py` has the names of splits that are recognised. Of `train` and `val` alone, as
    ImageNet comes, `val` is the test set. Sub-folders of a class belong to it; `picture_files.find`
    says which files are found.

    Args:
      root: The folder.
      test: Share of every class used for testing if the folder has no splits of its own.

    Raises:
      DataUnavailable: The folder does not exist.
      DataInvalid: There are fewer than two classes, a class without training pictures, a class that
        only `test` or `val` has, no test or validation pictures, or an unreadable folder.
    """
    check_folder(root)
    try:
        return _list(root, test)
    except OSError as error:
        _unreadable(error)


def check_folder(root: Path) -> None:
    """Raises DataUnavailable if there is no such folder."""
    if not root.is_dir():
        raise DataUnavailable(
            f"{root} is not a folder: name one that has a sub-folder for each class"
        )


def list_labelled(root: Path) -> Listing:
    """Lists all pictures of `root/CLASS/` as "test", to score a net on; one class is enough.

    Raises:
      DataUnavailable: The folder does not exist.
      DataInvalid: There is no picture, or an unreadable folder.
    """
    check_folder(root)
    listed = _Lister(root)
    try:
        folders = picture_files.sub_folders(root)
    except OSError as error:
        _unreadable(error)
    classes = tuple(folder.name for folder in folders)
    pictures = [
        picture
        for label, folder in enumerate(folders)
        for picture in listed.pictures(folder, folder.name, label)
    ]
    if not pictures:
        raise DataInvalid(f"{root} has no pictures in sub-folders named as their classes")
    return Listing(classes, {"test": pictures}, False, listed.notes())


def _list(root: Path, test: float) -> Listing:
    splits, notes = find_splits(root), []
    if splits and "test" not in splits:
        splits["test"] = splits.pop("validation")
        notes.append(
            f"{splits['test'].name} is the test set, since {root} has no other; a share of the "
            "training set is the validation set"
        )
    train_root = splits.get("train", root)
    folders = _class_folders(train_root)
    classes = tuple(folder.name for folder in folders)
    listed = _Lister(root)
    parts: dict[str, list[Picture]] = {"train": [], "test": []}
    for label, folder in enumerate(folders):
        pictures = listed.pictures(folder, folder.name, label)
        if not pictures:
            raise DataInvalid(f"{folder} has no pictures{listed.instead(folder.name)}")
        cut = 0 if splits else share(test, len(pictures))
        parts["test"] += pictures[:cut]
        parts["train"] += pictures[cut:]
    labels = {_same(name): label for label, name in enumerate(classes)}
    labels |= {name: label for label, name in enumerate(classes)}
    for part, part_root in splits.items():
        if part == "train":
            continue
        inside = picture_files.sub_folders(part_root)
        known = {f: labels.get(f.name, labels.get(_same(f.name), -1)) for f in inside}
        unknown = [folder.name for folder, label in known.items() if label < 0]
        if unknown:
            raise DataInvalid(
                f"{part_root} has classes that {train_root} lacks ({some(unknown)}): add them "
                "there, or remove them"
            )
        parts[part] = [
            picture
            for folder, label in known.items()
            for picture in listed.pictures(folder, classes[label], label)
        ]
    _check_parts(root, splits, parts, test)
    if not splits:
        notes.append(same_sub_folders(folders))
    notes += [*listed.notes(), _strays(root, splits)]
    ordered = {part: sorted(pictures, key=_shuffle_key) for part, pictures in parts.items()}
    return Listing(classes, ordered, bool(splits), list(filter(None, notes)))


def share(part: float, number: int) -> int:
    """How many of a class's pictures a share of them is; at least one is left."""
    return max(0, min(round(part * number), number - 1))


def enough(number: int) -> str:
    """A share that is one of so many pictures: "0.5" of 2."""
    return f"{-(-100 // number) / 100:g}" if number > 1 else ""


class _Lister:
    """Lists the pictures of class folders, and counts what else is there."""

    def __init__(self, root: Path):
        self._root = root
        self._passed_over: dict[str, collections.Counter[str]] = {}
        self._circular: list[str] = []
        self._ignored = picture_files.in_machine_folders(root)

    def pictures(self, folder: Path, name: str, label: int) -> list[Picture]:
        """The pictures of a class in one of its folders, in an order that the names decide."""
        found = picture_files.find(folder, _unreadable)
        self._passed_over.setdefault(name, collections.Counter()).update(found.passed_over)
        self._ignored.update(found.ignored)
        self._circular += [path.relative_to(self._root).as_posix() for path in found.circular]
        pictures = (
            Picture(path, path.relative_to(self._root).as_posix(), label) for path in found.pictures
        )
        return sorted(pictures, key=_shuffle_key)

    def instead(self, name: str) -> str:
        """What a class without pictures has, and what to do, as the end of a message."""
        passed_over = picture_files.counted(self._passed_over[name])
        if passed_over:
            return f" in a format that is read, but {passed_over}: convert them, for example to PNG"
        return ": add some, or remove the folder"

    def notes(self) -> list[str]:
        """Lines on what was passed over and why."""
        lines = []
        others = {
            name: picture_files.counted(files) for name, files in self._passed_over.items() if files
        }
        if others:
            listed = some([f"{name}: {files}" for name, files in others.items()])
            lines.append(f"passed over, since they are in no format that is read: {listed}")
        if self._ignored:
            number, names = sum(self._ignored.values()), some(sorted(self._ignored))
            lines.append(f"ignored in folders made by machines ({names}): {number:,} files")
        if self._circular:
            lines.append(f"not followed, since they lead back: {some(self._circular)}")
        return lines


def _class_folders(train_root: Path) -> list[Path]:
    folders = picture_files.sub_folders(train_root)
    for path in folders:
        if train_root.resolve().is_relative_to(path.resolve()):
            raise DataInvalid(f"{path} is a link to a folder that contains it: remove it")
    if len(folders) < 2:
        inner = folders
        while len(inner) == 1 and (below := picture_files.sub_folders(inner[0])):
            nested, inner = inner[0], below
        hint = f": perhaps it is {nested} that you mean" if len(inner) > 1 else ""
        raise DataInvalid(
            f"{train_root} must have a sub-folder for each of at least two classes, "
            f"got {len(folders)}{hint}"
        )
    return folders


def _check_parts(
    root: Path, splits: dict[str, Path], parts: dict[str, list[Picture]], test: float
) -> None:
    for part, pictures in parts.items():
        if pictures:
            continue
        if splits:
            raise DataInvalid(f"{splits[part]} has no pictures to {PURPOSES[part]} on: add some")
        most = max(collections.Counter(picture.label for picture in parts["train"]).values())
        hint = f"set test={enough(most)} or more" if most > 1 else "add more pictures"
        raise DataInvalid(
            f"{root} has no pictures to test on: {test:g} of {most} pictures is none: {hint}"
        )


def _strays(root: Path, splits: dict[str, Path]) -> str:
    """A note on sub-folders that are no split, and on pictures that are in no class; "" if none."""
    roots = [*splits.values()] or [root]
    loose = [
        name
        for folder in roots
        for name in sorted(os.listdir(folder))
        if Path(name).suffix.lower() in extensions() and not name.startswith(".")
    ]
    used = {place for path in splits.values() for place in (path, path.parent)}
    unused = [path.name for path in picture_files.sub_folders(root) if splits and path not in used]
    lines = []
    if unused:
        lines.append(f"not read, since they are no split: {some(unused)}")
    if loose:
        lines.append(f"not read, since they are in no class: {some(loose, 3)}")
    return "; ".join(lines)


def _same(name: str) -> str:
    """A form of a class's name that is equal for its spellings on different systems."""
    return unicodedata.normalize("NFC", name).casefold()


def absent(classes: Sequence[str], labels: Sequence[int]) -> list[str]:
    """The classes that no label names."""
    seen = set(labels)
    return [name for label, name in enumerate(classes) if label not in seen]


def _shuffle_key(picture: Picture) -> bytes:
    """Sort key: a pseudo-random order that does not depend on where the folder is."""
    return hashlib.sha256(os.fsencode(picture.name)).digest()


def _unreadable(error: OSError) -> NoReturn:
    raise DataInvalid(f"{error.filename} cannot be read ({error.strerror})") from error

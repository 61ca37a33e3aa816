"""Recognises the folders of a data set's splits by their customary names."""

import os
import re
from pathlib import Path

from cnn_jax.data.dataset import DataInvalid
from cnn_jax.data.pictures.picture_files import sub_folders
from cnn_jax.data.pictures.picture_formats import extensions
from cnn_jax.errors import some

# Customary names of each split, in lower case; a word of `FILLERS` may be joined to them.
NAMES = {
    "train": ("train", "training", "trn"),
    "test": ("test", "testing", "tst", "holdout"),
    "validation": ("val", "valid", "validation", "validate", "dev", "eval", "evaluation"),
}
FILLERS = (
    "", "set", "sets", "data", "dataset", "folder", "image", "images", "img", "imgs", "photos",
    "pictures", "sample", "samples", "split",
)  # fmt: skip
_WORDS = {
    joined: split
    for split, names in NAMES.items()
    for name in names
    for filler in FILLERS
    for joined in (name + filler, filler + name)
}


def find_splits(root: Path) -> dict[str, Path]:
    """Returns the folders of "train", "test" and "validation"; empty if there are none.

    `Training Set/CLASS`, `TEST/CLASS` and `seg_train/seg_train/CLASS` are recognised too. A folder
    with such a name that holds pictures itself is a class.

    Raises:
      DataInvalid: There are two folders for a split, a split without sub-folders for the classes,
        or no training set, or nothing but one.
      OSError: A folder can't be read.
    """
    named: dict[tuple[str, ...], dict[str, list[Path]]] = {}
    for folder in sub_folders(root):
        split, rest = _split_of(folder.name)
        if split:
            named.setdefault(rest, {}).setdefault(split, []).append(folder)
    # A word that all of a data set's splits share, such as "seg" in "seg_train", tells nothing.
    for splits in named.values():
        if "train" in splits and len(splits) > 1:
            _check_single(root, splits)
            return _checked(splits)
    alone = named.get((), {})
    for split, folders in alone.items():
        if sub_folders(folders[0]) and not _holds_pictures(folders[0]):
            _check_single(root, alone)
            raise DataInvalid(_incomplete(root, split, folders[0]))
    return {}


def _split_of(name: str) -> tuple[str, tuple[str, ...]]:
    """The split that a name means, "" if none, and its other words."""
    words = re.findall(r"[^\W\d_]+", name.casefold())
    whole = _WORDS.get("".join(words))
    if whole:
        return whole, ()
    splits = [_WORDS[word] for word in words if word in _WORDS]
    if len(splits) != 1:
        return "", ()
    return splits[0], tuple(word for word in words if word not in _WORDS)


def _check_single(root: Path, named: dict[str, list[Path]]) -> None:
    for folders in named.values():
        if len(folders) > 1:
            raise DataInvalid(
                f"{root} has both {folders[0].name} and {folders[1].name}: remove one"
            )


def _checked(named: dict[str, list[Path]]) -> dict[str, Path]:
    splits = {split: _inner(folders[0]) for split, folders in named.items()}
    train = splits["train"]
    flat = [folder for split, folder in splits.items() if not sub_folders(folder)]
    if flat and train not in flat and _holds_pictures(flat[0]):
        raise DataInvalid(
            f"{flat[0]} has no sub-folder for each class, so its pictures have no labels: sort "
            f"them into classes, or name {train} itself, a share of which then becomes the test set"
        )
    return splits


def _inner(folder: Path) -> Path:
    """The folder within, if it is the only one and named as the same split."""
    inside = sub_folders(folder)
    if len(inside) == 1 and _split_of(inside[0].name)[0] == _split_of(folder.name)[0]:
        return inside[0]
    return folder


def _holds_pictures(folder: Path) -> bool:
    """Whether pictures lie in the folder itself."""
    return any(Path(name).suffix.lower() in extensions() for name in os.listdir(folder))


def _incomplete(root: Path, split: str, folder: Path) -> str:
    if split == "train":
        return (
            f"{root} has {folder.name} but no test set: add {root / 'test'}, or name {folder} "
            "itself, a share of which then becomes the test set"
        )
    return (
        f"{root} has {folder.name} but no training set: move its classes into {root / 'train'}, or "
        f"name {folder} itself"
    )


def same_sub_folders(classes: list[Path]) -> str:
    """A note if all class folders have the same sub-folders and no pictures of their own; else "".

    They may be splits with names that `find_splits` does not know.
    """
    inner = [tuple(folder.name for folder in sub_folders(path)) for path in classes]
    if len(inner[0]) < 2 or len(set(inner)) > 1 or any(map(_holds_pictures, classes)):
        return ""
    return (
        f"the classes {some([path.name for path in classes])} have the same sub-folders "
        f"({some(inner[0])}): if they are splits, rename them to train and test"
    )

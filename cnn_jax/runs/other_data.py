"""Loads other labelled data for a run's net, and maps its labels to the net's classes by name."""

import collections
import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from cnn_jax import config
from cnn_jax.data import DataConfig, DataInvalid, Dataset, Folder, Split, Tfds
from cnn_jax.data.pictures.split_folders import find_splits
from cnn_jax.errors import UserError, blamed_on, shape_text, some
from cnn_jax.experiment import DataFacts, Plan
from cnn_jax.runs.data_changes import differences
from cnn_jax.storage.files import absolute


@dataclasses.dataclass(frozen=True, eq=False)
class OtherData:
    """Labelled images of other data, for a run's net.

    Attributes:
      name: The data's name.
      config: Its config, as loaded.
      fingerprint: Digest of all its content.
      part: Which images these are: "test", or "all" of a set that came unsplit.
      split: The images, labelled with the net's classes.
      left_out: Number of images of each class that the net lacks; they are not in `split`.
      absent: The net's classes without images.
      notes: Lines for the user on the choice of images and the classes.
    """

    name: str
    config: DataConfig
    fingerprint: str
    part: str
    split: Split
    left_out: dict[str, int]
    absent: list[str]
    notes: list[str]


def load_other(plan: Plan, source: DataConfig, data_dir: str | None = None) -> OtherData:
    """Loads data that a run was not made on, as its net takes images.

    A `Folder` or `Tfds` is read with the size and the channels of the net's images, and as the
    run's own data was. All images of an unsplit set are taken; of the run's own data, its test
    images.

    Args:
      plan: The run's plan.
      source: The data.
      data_dir: Where TFDS data is.

    Raises:
      UserError: the data can't be loaded, its images have another shape than the net's, or it has
        none of the net's classes.
    """
    with blamed_on("config.data"):
        source, note = source.resolve(data_dir)
        own = _same_place(source, plan.experiment.data)
        source = plan.experiment.data if own else _as_the_net_takes(source, plan)
        whole = False
        try:
            data = source.load(data_dir)
        except DataInvalid:
            labelled = None if own else _labelled(source, data_dir)
            if labelled is None:
                raise
            data, whole = labelled, isinstance(source, Folder)
    if data.image_shape != plan.data.image_shape:
        raise UserError(
            f"config.data: {data.name} has images of {shape_text(data.image_shape)}, and the net "
            f"takes {shape_text(plan.data.image_shape)}: give a Folder or Tfds, whose images are "
            "resized, or data of this shape"
        )
    own = own or data.fingerprint == plan.data.fingerprint
    part = "all" if whole or (data.unsplit and not own) else "test"
    chosen = _whole(data) if part == "all" and not whole else data.test
    split, left_out = _relabelled(data, chosen, plan.data.classes)
    seen = set(split.labels.tolist())
    absent = [name for label, name in enumerate(plan.data.classes) if label not in seen]
    notes = [note, _choice(plan, data, own, part), *_unmatched(data.name, left_out, absent)]
    return OtherData(
        name=data.name,
        config=source,
        fingerprint=data.fingerprint,
        part=part,
        split=split,
        left_out=left_out,
        absent=absent,
        notes=[note for note in notes if note],
    )


def _same_place(source: DataConfig, own: DataConfig) -> bool:
    """Whether two data sets of a kind are in the same files and folders."""
    places, own_places = (
        {name: os.path.realpath(absolute(path)) for name, path in config.local_paths(data).items()}
        for data in (source, own)
    )
    return type(source) is type(own) and bool(places) and places == own_places


def _as_the_net_takes(source: DataConfig, plan: Plan) -> DataConfig:
    """A folder or TFDS set, read with the net's shape and as the run's own; others unchanged."""
    if not isinstance(source, Folder | Tfds):
        return source
    height, width, channels = plan.data.image_shape
    size = height if height == width else (height, width)
    source = dataclasses.replace(source, size=size, channels=1 if channels == 1 else 3)
    own = plan.experiment.data
    if not isinstance(own, Folder | Tfds):
        return source
    if not isinstance(source, Folder) or not isinstance(own, Folder):
        return dataclasses.replace(source, fit=own.fit, decode=own.decode)
    # With the same share a copy of the run's folder has its fingerprint, and is recognised.
    return dataclasses.replace(source, fit=own.fit, decode=own.decode, test=own.test)


def _labelled(source: DataConfig, data_dir: str | None) -> Dataset | None:
    """A small folder or a TFDS set of one split, which can't be trained on; None for others."""
    if isinstance(source, Folder) and not find_splits(source.root):
        return source.load_labelled()
    if isinstance(source, Tfds) and len(source.splits) == 1:
        return source.load_labelled(data_dir)
    return None


def _whole(data: Dataset) -> Split:
    parts = [part for part in (data.train, data.validation, data.test) if part is not None]
    return Split(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def _relabelled(
    data: Dataset, split: Split, classes: Sequence[str]
) -> tuple[Split, dict[str, int]]:
    """The images whose class the net has, with its labels, and the number of others by class."""
    matched = matching(data.classes, classes)
    if not matched:
        raise UserError(
            f"config.data: {data.name} has none of the net's classes: it has "
            f"{some(data.classes)}, and the net {some(classes)}; rename its classes"
        )
    numbers = np.array([matched.get(name, -1) for name in data.classes], np.int32)
    labels = numbers[split.labels]
    counts = np.bincount(split.labels, minlength=data.num_classes)
    left_out = {
        name: int(count)
        for name, count in zip(data.classes, counts, strict=True)
        if count and name not in matched
    }
    kept = labels >= 0
    if not kept.any():
        raise UserError(
            f"config.data: {data.name} has no test image of the net's classes {some(matched)}"
        )
    if kept.all():
        return Split(split.images, labels), left_out
    return Split(split.images[kept], labels[kept]), left_out


def matching(names: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    """Returns the number of the class that each name means; names that mean none are left out.

    A name means the class of that name, or else the only one that differs in upper and lower case
    alone, if no other name means it.
    """
    found = {name: classes.index(name) for name in names if name in classes}
    folded = collections.Counter(name.casefold() for name in names)
    classes_folded = [name.casefold() for name in classes]
    for name in names:
        key = name.casefold()
        if name not in found and folded[key] == classes_folded.count(key) == 1:
            found[name] = classes_folded.index(key)
    return found


def _choice(plan: Plan, data: Dataset, own: bool, part: str) -> str:
    if part == "all":
        return f"{data.name} is not split: all its images are scored"
    if not own:
        return ""
    line = f"{data.name} is the data of the run: only its test images are scored"
    if data.fingerprint == plan.data.fingerprint:
        return line
    changed = differences(plan.data, DataFacts.of(data))
    return f"{line}; it has changed since ({changed}), so the run may have trained on some of them"


def _unmatched(name: str, left_out: dict[str, int], absent: list[str]) -> list[str]:
    """Lines on classes of the data that the net lacks, and on those without images."""
    lines = []
    if left_out:
        images = sum(left_out.values())
        lines.append(
            f"{images:,} images of {name} are left out, of classes that the net lacks: "
            f"{some(left_out)}"
        )
    if absent:
        lines.append(f"{name} has no image of these classes of the net: {some(absent)}")
    return lines

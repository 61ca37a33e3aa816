"""Describes what a folder of pictures holds, and what a run will not see of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from cnn_jax.data.class_folders import Listing, absent, enough
from cnn_jax.data.image_files import PictureForm
from cnn_jax.data.picture_cache import Row
from cnn_jax.errors import some

# A line is due if the median picture loses more than this share of its pixels.
MUCH = 1 / 3


def content(name: str, classes: Sequence[str], labels: Mapping[str, np.ndarray]) -> str:
    """The line on every folder: its classes, and the pictures of each class and split."""
    counts = np.bincount(np.concatenate([*labels.values()]), minlength=len(classes))
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[least] == counts[most]:
        each = f"{counts[least]:,} pictures each"
    else:
        each = (
            f"{counts[least]:,} ({classes[least]}) to {counts[most]:,} ({classes[most]}) "
            "pictures each"
        )
    parts = ", ".join(f"{len(found):,} {part}" for part, found in labels.items())
    return f"{name}: {len(classes)} classes ({some(classes)}), {each}; {parts}"


def without_pictures(
    listing: Listing, labels: Mapping[str, np.ndarray], shares: Mapping[str, float]
) -> list[str]:
    """A line for each split that lacks a class, with the share that would give it a picture.

    Args:
      listing: The content of the folder.
      labels: i32[N], the labels of each split.
      shares: The shares that were cut off, of the splits that are shares.
    """
    lines = []
    for part, found in labels.items():
        names = absent(listing.classes, found.tolist())
        if not names or part == "train":
            continue
        line = f"{part} has no pictures of {some(names)}"
        if part in shares:
            label = listing.classes.index(names[0])
            # The validation set is a share of what the test set leaves.
            whole = [labels[p] for p in labels if p != "test" or part == "test"]
            number = sum(int((found == label).sum()) for found in whole)
            hint = f": set {part}={enough(number)}" if number > 1 else ""
            line += f", since {shares[part]:g} of {number} pictures is none{hint}"
        lines.append(line)
    return lines


def cut_off(rows: Sequence[Row], form: PictureForm) -> str:
    """A line if the form cuts much off the median picture; "" if not."""
    if form.fit != "crop":
        return ""
    lost = []
    for row in rows:
        vertical, horizontal = form.scales(row.height, row.width)
        covered = (row.height * vertical) * (row.width * horizontal)
        lost.append(1 - form.height * form.width / covered)
    middle = int(np.argsort(lost, kind="stable")[len(lost) // 2])
    if lost[middle] <= MUCH:
        return ""
    row = rows[middle]
    return (
        f'fit="crop" cuts off {lost[middle]:.0%} of the median picture, which is {row.width} wide '
        f'and {row.height} high: set size=(height, width), fit="pad" or fit="stretch"'
    )

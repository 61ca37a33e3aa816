"""Describes what a folder of pictures holds, and what a run will not see of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from cnn_jax.data.pictures.class_folders import Listing, Picture, absent, enough
from cnn_jax.data.pictures.picture_cache import Row
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.data.pictures.picture_index import Seen
from cnn_jax.errors import some

# Bytes of an image that are compared first.
SAMPLE = 64
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
    if "validation" in shares and "validation" not in labels:
        most = int(np.bincount(labels["train"]).max())
        hint = f": set validation={enough(most)}" if most > 2 else ": too few for all splits"
        lines.append(
            f"no validation set, since {shares['validation']:g} of {most} pictures is none{hint}"
        )
    for part, found in labels.items():
        names = absent(listing.classes, found.tolist())
        if not names or part == "train":
            continue
        line = f"{part} has no pictures of {some(names)}"
        if part in shares:
            # The smallest class decides which share is enough for all of them.
            of_class = np.bincount(np.concatenate([*labels.values()]))
            label = min(map(listing.classes.index, names), key=lambda label: of_class[label])
            # The validation set is a share of what the test set leaves.
            whole = [labels[p] for p in labels if p != "test" or part == "test"]
            number = sum(int((found == label).sum()) for found in whole)
            hint = ": too few for all splits"
            if of_class[label] > len(shares):
                hint = f": set {part}={enough(number)}"
            line += f", since {shares[part]:g} of {number} pictures is none{hint}"
        lines.append(line)
    return lines


def equal_pictures(parts: Mapping[str, tuple[Sequence[Picture], np.ndarray]]) -> list[str]:
    """Lines on pictures that are equal and in different classes, or in different splits.

    Args:
      parts: The pictures of each split, and their images or their digests, u8[N,...].
    """
    seen: dict[bytes, tuple[str, Picture, np.ndarray]] = {}
    classes: list[str] = []
    splits: list[str] = []
    for part, (pictures, images) in parts.items():
        step = max(1, images[0].size // SAMPLE)
        samples = images.reshape(len(images), -1)[:, ::step]
        for picture, image, sample in zip(pictures, images, samples, strict=True):
            other_part, other, before = seen.setdefault(sample.tobytes(), (part, picture, image))
            if other is picture or not np.array_equal(before, image):
                continue
            pair = f"{picture.name} and {other.name}"
            if picture.label != other.label:
                classes.append(pair)
            if part != other_part:
                splits.append(pair)
    return [
        f"equal pictures in different {what}: {len(pairs):,}, such as {pairs[0]}"
        for what, pairs in (("classes", classes), ("splits", splits))
        if pairs
    ]


def cut_off(rows: Sequence[Row | Seen], form: PictureForm) -> str:
    """A line if the form cuts much off the median picture; "" if not."""
    if form.fit != "crop":
        return ""
    lost = []
    for row in rows:
        vertical, horizontal = form.scales(row.height, row.width)
        covered = (row.height * vertical) * (row.width * horizontal)
        lost.append(1 - form.height * form.width / covered)
    middle = int(np.argsort(lost, kind="stable")[len(lost) // 2])
    if lost[middle] < MUCH + 1e-9:
        return ""
    row = rows[middle]
    return (
        f'fit="crop" cuts off {lost[middle]:.0%} of the median picture, which is {row.width} wide '
        f'and {row.height} high: set size=(height, width), fit="pad" or fit="stretch"'
    )

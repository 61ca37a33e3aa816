"""Describes in one line how data differs from the data that a run was made on."""

from cnn_jax.errors import shape_text, some
from cnn_jax.experiment import DataFacts


def differences(before: DataFacts, now: DataFacts) -> str:
    """Returns what differs between two versions of data, in one line: "train images 80 -> 81".

    Args:
      before: The facts of the data that the run was made on.
      now: The facts of the data as it is.
    """
    removed = [name for name in before.classes if name not in now.classes]
    added = [name for name in now.classes if name not in before.classes]
    parts = [
        f"classes {what}: {some(names)}"
        for what, names in (("removed", removed), ("added", added))
        if names
    ]
    if not parts and before.classes != now.classes:
        parts.append("the classes are in another order")
    for part in ("train", "validation", "test"):
        images, images_now = getattr(before, part), getattr(now, part)
        if images != images_now:
            parts.append(f"{part} images {images:,} -> {images_now:,}")
    counts = dict(zip(before.classes, before.class_counts, strict=False))
    counts_now = dict(zip(now.classes, now.class_counts, strict=False))
    changed = [
        f"{name} {counts[name]:,} -> {counts_now[name]:,}"
        for name in counts
        if name in counts_now and counts[name] != counts_now[name]
    ]
    if changed:
        parts.append(f"train images of {some(changed)}")
    if before.image_shape != now.image_shape:
        shapes = shape_text(before.image_shape), shape_text(now.image_shape)
        parts.append(f"image shape {' -> '.join(shapes)}")
    known = before.class_counts and now.class_counts
    each = " of each class" if known else ""
    return "; ".join(parts) or f"the same number of images{each}, other content"

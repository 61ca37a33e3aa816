"""Chooses the image, the label and the splits of a TFDS set by what it says of itself."""

from __future__ import annotations

from cnn_jax.data.dataset import DataInvalid
from cnn_jax.data.tfds.prepared_folder import PreparedFolder
from cnn_jax.errors import some

VALIDATION = ("validation", "valid", "val", "dev")


def image_and_label(prepared: PreparedFolder, label: str = "") -> tuple[str, str]:
    """Names of the image feature and the label feature.

    Args:
      prepared: The set.
      label: Name of the label; "": the one that the set declares, or its only one.

    Raises:
      DataInvalid: There is no such feature, or several may be meant.
    """
    declared_image, declared_label = prepared.supervised or ("", "")
    return (
        _choose(prepared, "Image", "image", declared_image),
        _choose(prepared, "ClassLabel", "class label", declared_label, label),
    )


def _choose(
    prepared: PreparedFolder, kind: str, title: str, declared: str, wanted: str = ""
) -> str:
    names = [name for name, feature in prepared.features.items() if feature.kind == kind]
    has = some([f"{name} ({feature.kind})" for name, feature in prepared.features.items()])
    if wanted and wanted not in names:
        raise DataInvalid(f"{prepared.name} has no {title} {wanted!r}: it has {has}")
    if wanted or declared in names:
        return wanted or declared
    if not names:
        raise DataInvalid(
            f"{prepared.name} has no {title} for each example, so it is no set for image "
            f"classification: it has {has}"
        )
    if len(names) > 1:
        hint = ": choose one by label=" if kind == "ClassLabel" else ", and declares none"
        raise DataInvalid(f"{prepared.name} has several features {kind}, {some(names)}{hint}")
    return names[0]


def customary_splits(prepared: PreparedFolder, validation: float, test: float) -> tuple[str, ...]:
    """The splits for (train, validation, test), (train, test) or (test,), by their names.

    A validation split without a test split is the test set, as is customary for ImageNet. What is
    missing is cut from the end of the training split, which TFDS has shuffled.

    Args:
      prepared: The set.
      validation: Share of the training images for validation, if there is no split for it.
      test: Share of the training images for testing, if there is no split for it.

    Raises:
      DataInvalid: There are other splits, or too few images.
    """
    has = prepared.splits
    if "train" not in has:
        if "test" in has or len(has) == 1:
            return ("test" if "test" in has else next(iter(has)),)
        raise DataInvalid(
            f"{prepared.name} has the splits {some(list(has))}: choose by splits=(train, test) or "
            "splits=(train, validation, test)"
        )
    number = left = has["train"]
    own = next((name for name in VALIDATION if name in has), "")
    if "test" in has:
        test_split = "test"
    elif own:
        test_split, own = own, ""
    else:
        left = number - round(test * number)
        test_split = f"train[{left}:]" if left < number else ""
    validation_split = own
    if not own and validation and left:
        whole, left = left, left - round(validation * left)
        validation_split = f"train[{left}:{whole}]" if left < whole else ""
    if not left or not test_split:
        raise DataInvalid(
            f"{prepared.name} has {number:,} training images, too few for the shares "
            f"validation={validation:g} and test={test:g}"
        )
    train_split = "train" if left == number else f"train[:{left}]"
    return tuple(split for split in (train_split, validation_split, test_split) if split)

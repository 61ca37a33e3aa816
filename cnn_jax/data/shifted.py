"""Reads distribution-shifted test sets for CIFAR-10 from prepared TFDS folders.

CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv:1903.12261) is `cifar10_corrupted`, with a config
for each corruption and severity; CIFAR-10.1 (Recht et al. 2018, arXiv:1806.00451) is `cifar10_1`,
with configs v4 and v6. Their labels are CIFAR-10's. This module never prepares them.
"""

from pathlib import Path

from cnn_jax.data import tfds
from cnn_jax.data.dataset import DataInvalid, Split
from cnn_jax.data.published import root

CORRUPTED, NEW = "cifar10_corrupted", "cifar10_1"
NAMES = {CORRUPTED: "CIFAR-10-C", NEW: "CIFAR-10.1"}
# Names under which results on them are recorded.
KEYS = {CORRUPTED: "cifar10_c", NEW: "cifar10_1"}


def prepared(name: str, data_dir: str | None = None) -> dict[str, Path]:
    """Returns the folder of the newest prepared version of each config, by the config's name."""
    places = (root(data_dir) / name).glob("*/*/dataset_info.json")
    return {place.parents[1].name: place.parent for place in sorted(places, key=_version)}


def _version(place: Path) -> tuple[str, tuple[int, ...]]:
    numbers = place.parent.name.split(".")
    return place.parents[1].name, tuple(int(number) for number in numbers if number.isdigit())


def read(folder: Path, image_shape: tuple[int, int, int], classes: int) -> Split:
    """Reads the test split of a prepared folder.

    Raises:
      DataInvalid: The folder is damaged, not array_record, or of another shape or label range.
    """
    images, labels = tfds.read_test(folder)
    if images.shape[1:] != image_shape or not ((labels >= 0) & (labels < classes)).all():
        raise DataInvalid(
            f"{folder} has other images or labels than the net was trained on: prepare it again"
        )
    return Split(images, labels)

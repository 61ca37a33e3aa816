"""Reads distribution-shifted test sets for CIFAR-10 from prepared TFDS folders.

CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv:1903.12261) is `cifar10_corrupted`, with a config
for each corruption and severity; CIFAR-10.1 (Recht et al. 2018, arXiv:1806.00451) is `cifar10_1`,
with configs v4 and v6. Their labels are CIFAR-10's. This module never prepares them.
"""

from pathlib import Path

from cnn_jax.data.dataset import DataInvalid, Split
from cnn_jax.data.pictures.picture_form import PictureForm
from cnn_jax.data.tfds.folders import data_root, prepared_folders
from cnn_jax.data.tfds.prepared_folder import PreparedFolder
from cnn_jax.errors import shape_text

CORRUPTED, NEW = "cifar10_corrupted", "cifar10_1"
NAMES = {CORRUPTED: "CIFAR-10-C", NEW: "CIFAR-10.1"}
# Names under which results on them are recorded.
KEYS = {CORRUPTED: "cifar10_c", NEW: "cifar10_1"}


def prepared(name: str, data_dir: str | None = None) -> dict[str, Path]:
    """Returns the folder of the newest prepared version of each config, by the config's name."""
    return {found.config: found.folder for found in prepared_folders(data_root(data_dir), name)}


def read(folder: Path, image_shape: tuple[int, int, int], classes: int) -> Split:
    """Reads the test split of a prepared folder.

    Raises:
      DataInvalid: The folder can't be read, or is of another shape or label range.
    """
    prepared_folder = PreparedFolder(folder)
    image = prepared_folder.features.get("image")
    if image is None or image.shape != image_shape:
        raise DataInvalid(f"{folder} has no images of {shape_text(image_shape)}, as the net takes")
    images, labels = prepared_folder.read("test", PictureForm(*image_shape))
    if not ((labels >= 0) & (labels < classes)).all():
        raise DataInvalid(f"{folder} has labels that are none of the net's {classes} classes")
    return Split(images, labels)

"""Defines the CIFAR-10 data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cnn_jax.data.downloads import originals
from cnn_jax.data.downloads.source import Original, Source
from cnn_jax.data.published import Published

ARCHIVE = Original(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
FILES = {
    "train": tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("cifar-10-batches-bin/test_batch.bin",),
}
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def _read(paths: Mapping[str, Path], split: str) -> originals.Examples:
    return originals.cifar(paths[ARCHIVE.name], FILES[split], ("label",))


@dataclass(frozen=True)
class Cifar10(Published):
    """CIFAR-10 (Krizhevsky, 2009): 60,000 colour images of 32x32 pixels in 10 classes.

    Read from `data_dir`, or else `$TFDS_DATA_DIR`, or else `~/tensorflow_datasets`.
    https://www.cs.toronto.edu/~kriz/cifar.html

    Attributes:
      validation: Number of validation images, taken from the end of the training set; 0: none.
      train: Number of training images, from the beginning of the rest; None: all.
      test: Number of test images, from the beginning of the test set; None: all.
    """

    source: ClassVar[Source] = Source(
        name="cifar10",
        title="CIFAR-10",
        version="3.0.2",
        sizes={"train": 50000, "test": 10000},
        image_shape=(32, 32, 3),
        classes=CLASSES,
        originals=(ARCHIVE,),
        megabytes=170,
        read=_read,
        names={"label": CLASSES},
        id_digits=5,
        # SHA-256 of all 184 MB takes 0.10 s at every start (BLAKE2b 0.21 s, CRC-32 0.05 s), so a
        # cryptographic digest is affordable.
        digests={
            "train_images": "edce064d311ff10ab762fda9e9a2522e35b6047a7397bc08883d14886040155f",
            "train_labels": "9fc5c1728bedca7e5b9dd19c8ee4cbfa690ef8a28d27ec06da2171b5ab689748",
            "test_images": "aef295980ffbefb08c680918c4f1644ea2fb00098b92f946394edcbac7f3f82c",
            "test_labels": "dd20de19db146a963f5d0925063cfa376f5645debc422c5854bc35c2196bd898",
        },
        mean=(0.49139968, 0.48215841, 0.44653091),
        std=(0.24703223, 0.24348513, 0.26158784),
    )

"""Defines SVHN, the Street View House Numbers data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cnn_jax.data.downloads import originals
from cnn_jax.data.downloads.source import Original, Source
from cnn_jax.data.published import Published

FOLDER = "http://ufldl.stanford.edu/housenumbers"
SHA256 = {
    "train": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "test": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    "extra": "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
}
FILES = {split: f"{split}_32x32.mat" for split in SHA256}


def _read(paths: Mapping[str, Path], split: str) -> originals.Examples:
    return originals.svhn(paths[FILES[split]])


@dataclass(frozen=True)
class Svhn(Published):
    """SVHN (Netzer et al., 2011), cropped: 99,289 colour images of the digits 0 to 9, 32x32 pixels.

    The 531,131 easier images of its `extra` split are not used, but the standard TFDS folder has
    them, so preparing it downloads 1.6 GB and needs about as much memory. Fields and location are
    those of `Cifar10`. http://ufldl.stanford.edu/housenumbers/
    """

    source: ClassVar[Source] = Source(
        name="svhn_cropped",
        title="SVHN",
        version="3.1.0",
        sizes={"train": 73257, "test": 26032, "extra": 531131},
        image_shape=(32, 32, 3),
        classes=tuple("0123456789"),
        originals=tuple(
            Original(f"{FOLDER}/{FILES[split]}", sha256) for split, sha256 in SHA256.items()
        ),
        megabytes=1576,
        read=_read,
        id_digits=6,
    )

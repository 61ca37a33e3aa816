"""Defines the facts that distinguish the data sets of TFDS."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from cnn_jax.data.downloads.originals import Examples


class Original(NamedTuple):
    """An original file of a data set: its URL and its SHA-256."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]


@dataclasses.dataclass(frozen=True)
class Source:
    """The facts of a data set of TFDS.

    Attributes:
      name: Name in TFDS, under which results are recorded.
      title: Name for people.
      version: Version in TFDS.
      sizes: Number of examples of every split of its TFDS folder.
      image_shape: Height, width and channels of every image.
      classes: The class names, in the order of the labels.
      originals: The original files.
      megabytes: Total size of the original files.
      read: Reads a split, given the paths of the originals by file name and the split's name.
      names: Class names of the label features that TFDS would read from the originals.
      id_digits: Number of digits of an example's id; 0: examples have no id.
      manual: Sub-folder of TFDS's manual downloads that may contain the originals.
      digests: SHA-256 of each array, in the order of tfds.data_source; None: unknown.
      mean: Mean of each channel over the training set, pixels scaled to 0..1; None: computed.
      std: Standard deviation of each channel over the same pixels; None: computed.
    """

    name: str
    title: str
    version: str
    sizes: Mapping[str, int]
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    originals: tuple[Original, ...]
    megabytes: int
    read: Callable[[Mapping[str, Path], str], Examples]
    names: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    id_digits: int = 0
    manual: str = ""
    digests: Mapping[str, str] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def folder(self, data_dir: Path) -> Path:
        """Returns the TFDS folder of this version."""
        return data_dir / self.name / self.version

    def prepared(self, data_dir: Path) -> bool:
        """Whether TFDS has prepared the folder, which it renames into place when complete."""
        return (self.folder(data_dir) / "dataset_info.json").exists()

    def manual_folder(self, data_dir: Path) -> Path:
        """Returns the folder for manually downloaded originals."""
        return data_dir / "downloads" / "manual" / self.manual

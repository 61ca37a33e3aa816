"""What differs between the data sets of TFDS, as a table of facts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from cnn_jax.data.originals import Examples


class Original(NamedTuple):
    """A file that a data set was published in, and its SHA-256."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


@dataclasses.dataclass(frozen=True)
class Source:
    """What there is to know of a data set of TFDS.

    Attributes:
      name: Its name in TFDS, under which numbers made on it are filed.
      title: The name that people know it by.
      version: Its version in TFDS.
      sizes: Number of examples of every split that its folder has.
      image_shape: Height, width and channels of every image.
      classes: The name of every class, in the order of the labels.
      originals: The files that it was published in.
      megabytes: What they come to.
      read: From the originals, by file name, and a split to its examples.
      names: Labels whose names its builder would read from the originals, with those names.
      id_digits: Digits of an example's id; 0: it has none.
      manual: Folder, in that for files fetched by hand, where its originals are looked for.
      digests: SHA-256 of each array, in the order of tfds.data_source; None: not known here.
      mean: Mean of each channel over the training set, of pixels scaled to 0..1; None: computed.
      std: Standard deviation of each channel, likewise.
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
        """Where TFDS keeps this version."""
        return data_dir / self.name / self.version

    def prepared(self, data_dir: Path) -> bool:
        """Whether the folder was prepared; TFDS renames it into place when it is whole."""
        return (self.folder(data_dir) / "dataset_info.json").exists()

    def manual_folder(self, data_dir: Path) -> Path:
        """Where originals that were fetched by hand are looked for."""
        return data_dir / "downloads" / "manual" / self.manual

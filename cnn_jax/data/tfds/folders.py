"""Finds the folders that TFDS has prepared below a data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from cnn_jax.storage.local_paths import local_path

# The sub-folder of a data folder for all that this program writes there.
OURS = "cnn_jax"


class Found(NamedTuple):
    """A prepared folder.

    Attributes:
      config: Name of its config; "" if the set has none.
      version: Its version.
      folder: The folder.
    """

    config: str
    version: str
    folder: Path


def data_root(data_dir: str | None) -> Path:
    """Returns the TFDS folder: `data_dir`, `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.

    Raises:
      UserError: it is a URL, such as `gs://bucket/data`.
    """
    if data_dir:
        return local_path(data_dir, "data_dir").absolute()
    chosen = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return local_path(chosen, "$TFDS_DATA_DIR").absolute()


def prepared_folders(root: Path, name: str) -> list[Found]:
    """Returns the prepared folders of a data set, the oldest versions first."""
    found = []
    for place in (root / OURS / name, root / name):
        for depth in ("*", "*/*"):
            for path in place.glob(f"{depth}/dataset_info.json"):
                folder = path.parent
                if numbers(folder.name):
                    config = folder.parent.name if depth == "*/*" else ""
                    found.append(Found(config, folder.name, folder))
    return sorted(found, key=lambda one: (one.config, numbers(one.version)))


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version; () of what is none: "1.10.0" is (1, 10, 0)."""
    parts = version.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()

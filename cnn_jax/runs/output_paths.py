"""Where results are to be written, checked before the work whose results they are."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from cnn_jax.errors import UserError
from cnn_jax.runs.folder import written_by_a_run


def check(flag: str, path: Path, forms: Collection[str]) -> None:
    """Raises UserError where a file can't be written, or is one that a run keeps.

    Args:
      flag: The flag that names it, without dashes.
      path: The file.
      forms: The suffixes that it may have.
    """
    given = f"--{flag}={path}"
    if path.suffix not in forms:
        raise UserError(f"{given} must end in {' or '.join(forms)}")
    if path.is_dir():
        raise UserError(f"{given} is a folder: name a file")
    if not path.parent.is_dir():
        raise UserError(f"{given}: there is no folder {path.parent}")
    check_writable(path.parent)
    if written_by_a_run(path):
        raise UserError(f"{given} is where a run keeps its own files: give another name")


def check_writable(folder: Path) -> None:
    """Raises UserError where nothing can be written into a folder, or it can't be made."""
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"nothing can be written to {folder}: it is read-only, or no folder")

"""Checks output paths before the work whose results go there."""

import os
from collections.abc import Collection
from pathlib import Path

from cnn_jax.errors import UserError
from cnn_jax.runs.workdir import written_by_a_run


def check(flag: str, path: Path, suffixes: Collection[str]) -> None:
    """Raises UserError if a file can't be written, or belongs to a run.

    Args:
      flag: The flag that names it, without dashes.
      path: The file.
      suffixes: The suffixes that it may have.
    """
    given = f"--{flag}={path}"
    if path.suffix not in suffixes:
        raise UserError(f"{given} must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise UserError(f"{given} is a folder: name a file")
    if not path.parent.is_dir():
        raise UserError(f"{given}: there is no folder {path.parent}")
    check_writable(path.parent)
    if written_by_a_run(path):
        raise UserError(f"{given} is a file of a run: give another name")


def check_writable(folder: Path) -> None:
    """Raises UserError if a folder can't be written to, or can't be created."""
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{folder} is read-only, or not a folder: nothing can be written there")

"""Paths that a user names: on this machine, with ~ expanded."""

import os
from pathlib import Path

from cnn_jax import ranges
from cnn_jax.errors import UserError


def local_path(path: str | os.PathLike[str], name: str) -> Path:
    """Returns a path that a user named, without ~; a relative path stays relative.

    Args:
      path: The path.
      name: What it was given as, for messages: "workdir" or "--output".

    Raises:
      UserError: it is a URL, such as `gs://bucket/run`, or a ~ that stands for no user.
    """
    try:
        ranges.local_path(**{name: path})
        return Path(path).expanduser()
    except ValueError as error:
        raise UserError(str(error)) from error
    except RuntimeError as error:  # no such user
        raise UserError(f"{name}={path}: {error}") from error

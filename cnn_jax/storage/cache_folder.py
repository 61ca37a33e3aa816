"""Locates the user's cache folder."""

import os
from pathlib import Path


def user_cache() -> Path:
    """Returns `cnn_jax` in `$XDG_CACHE_HOME`, or else in `~/.cache`.

    Raises:
      RuntimeError: The user has no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "cnn_jax"

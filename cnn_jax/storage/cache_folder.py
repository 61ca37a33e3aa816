"""Where the program keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The program's folder in the user's cache: `$XDG_CACHE_HOME`, or else `~/.cache`.

    Raises:
      RuntimeError: the user has no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "cnn_jax"

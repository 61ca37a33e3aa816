"""Locates the user's cache folder, and names caches."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def user_cache() -> Path:
    """Returns `cnn_jax` in `$XDG_CACHE_HOME`, or else in `~/.cache`.

    Raises:
      RuntimeError: The user has no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "cnn_jax"


def key(settings: Any) -> str:
    """Returns a name for the cache of these settings, a JSON value: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]

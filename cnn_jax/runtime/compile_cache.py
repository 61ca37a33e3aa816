"""Caches compiled programs on disk, so that a program is compiled only once.

JAX's key is the program, the compiler's version and options, and the kind of device.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import jax

from cnn_jax.storage import cache_folder
from cnn_jax.storage.local_paths import local_path

OFF = "off"
LIMIT = 256 * 2**20  # bytes; a recipe's programs take half a megabyte on a CPU


def use(folder: str | None = None) -> str:
    """Sets the folder from which this process reads compiled programs, and to which it writes them.

    Args:
      folder: Created if missing; "off": no cache; None: what `$JAX_COMPILATION_CACHE_DIR` or
        `--jax_compilation_cache_dir` names, with JAX's own settings, or else `compiled` in the
        user's cache.

    Returns:
      A line for the user if the cache cannot be used; otherwise "".

    Raises:
      UserError: the folder is a URL.
    """
    if folder == OFF:
        jax.config.update("jax_enable_compilation_cache", False)
        return ""
    given = local_path(folder, "compile_cache") if folder else None
    settings: Any = jax.config
    own = os.environ.get("JAX_COMPILATION_CACHE_DIR") or settings.jax_compilation_cache_dir
    if folder is None and own:
        return ""
    try:
        chosen = given or cache_folder.user_cache() / "compiled"
        place = chosen.absolute()
        str(place).encode()  # JAX takes no other bytes than UTF-8
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            prune(place)
    except (OSError, RuntimeError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        return (
            f"note: compiled programs are not cached ({reason}): set --compile_cache to a "
            f"writable folder or {OFF}"
        )
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # Also caches small programs: a run has a dozen, and compiling each takes longer than reading.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return ""


def folder() -> str:
    """Returns the cache folder in use; "" if there is none."""
    settings: Any = jax.config
    used = settings.jax_enable_compilation_cache
    return (settings.jax_compilation_cache_dir if used else None) or ""


def prune(folder: Path, limit: int = LIMIT) -> None:
    """Removes the least recently used programs until the rest take at most `limit` bytes.

    JAX can do so (`jax_compilation_cache_max_size`), but locks the folder at every access and needs
    another package.
    """
    found = []
    for path in folder.glob("*-cache"):
        with contextlib.suppress(FileNotFoundError):  # another process has removed it
            facts = path.stat()
            found.append((max(facts.st_atime, facts.st_mtime), facts.st_size, path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > limit:
            path.unlink(missing_ok=True)

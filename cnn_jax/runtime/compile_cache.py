"""Compiled programs kept on disk, so that a program is compiled once and not at every start.

JAX finds a program by its content, the compiler's version and options, and the kind of the device.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import jax

from cnn_jax.storage import cache_folder

OFF = "off"
# A recipe's programs take half a megabyte on a CPU.
LIMIT = 256 * 2**20


def use(folder: str | None = None) -> str:
    """Takes programs from a folder, and keeps there what this process compiles from now on.

    Args:
      folder: Made if absent; "off" for none. By default what `$JAX_COMPILATION_CACHE_DIR` names,
        which is left to JAX and its other variables, or else `compiled` in the user's cache.

    Returns:
      What the user should know, in a line; "" if nothing.
    """
    if folder == OFF:
        jax.config.update("jax_enable_compilation_cache", False)
        return ""
    if folder is None and os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return ""
    try:
        place = _place(folder)
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            prune(place)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        return (
            f"note: compiled programs are not kept ({reason}): give --compile_cache a folder "
            f"that can be written, or {OFF}"
        )
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # Small programs too: a run has a dozen, and each takes longer to compile than to read.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return ""


def folder() -> str:
    """Where programs are kept; "" if nowhere."""
    settings: Any = jax.config
    used = settings.jax_enable_compilation_cache
    return (settings.jax_compilation_cache_dir if used else None) or ""


def _place(folder: str | None) -> Path:
    return (
        Path(folder).expanduser().absolute() if folder else cache_folder.user_cache() / "compiled"
    )


def prune(folder: Path, limit: int = LIMIT) -> None:
    """Removes programs, the longest unused first, until they take at most so many bytes.

    JAX can do it too (`jax_compilation_cache_max_size`), but locks the folder for it at every look
    and needs another package.
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

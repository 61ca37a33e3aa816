"""How long a program takes to compile: the first time, and from the persistent cache."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax


class Compiled(NamedTuple):
    """A compiled program and what it took.

    Attributes:
      program: As compiled the first time.
      cold: Seconds with an empty cache, tracing included.
      warm: Seconds with what the first time left in the cache; None where it left nothing.
    """

    program: Any
    cold: float
    warm: float | None


def compile_twice(compiled: Callable[[], Any]) -> Compiled:
    """Traces and compiles a program with an empty persistent cache of its own, and again with it.

    What JAX has traced and compiled in this process before is forgotten; a cache of the user's is
    neither read nor written.

    Args:
      compiled: Traces, lowers and compiles, and returns the program.
    """
    with tempfile.TemporaryDirectory() as folder, _cache_in(folder):
        program, cold = _timed(compiled)
        cached = any(Path(folder).iterdir())
        _, warm = _timed(compiled)
    return Compiled(program, cold, warm if cached else None)


def _timed(compiled: Callable[[], Any]) -> tuple[Any, float]:
    jax.clear_caches()
    start = time.perf_counter()
    program = compiled()
    return program, time.perf_counter() - start


@contextlib.contextmanager
def _cache_in(folder: str) -> Iterator[None]:
    from jax.experimental.compilation_cache import compilation_cache

    settings = {
        "jax_enable_compilation_cache": True,
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_persistent_cache_min_compile_time_secs": 0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # it keeps to the folder that it was first used with
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()

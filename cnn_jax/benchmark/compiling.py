"""Times compilation without and with the persistent cache."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax


class Compiled(NamedTuple):
    """A compiled program and its compile times.

    Attributes:
      program: The program of the first compilation.
      cold: Seconds with an empty cache, tracing included.
      warm: Seconds with the cache of the first compilation; None if it cached nothing.
    """

    program: Any
    cold: float
    warm: float | None


def compile_twice(compiled: Callable[[], Any]) -> Compiled:
    """Compiles a program with an empty persistent cache, and again with the filled one.

    Clears JAX's in-process caches; neither reads nor writes the user's persistent cache.

    Args:
      compiled: Traces, lowers and compiles the program, and returns it.
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
        compilation_cache.reset_cache()  # it would keep the folder of its first use
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()

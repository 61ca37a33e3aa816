"""Settings that a process has only if they are there when it starts. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence

VARIABLE = "GLIBC_TUNABLES"
# XLA on a CPU asks malloc for the buffers of every step anew. Memory that malloc gives back to the
# system, or maps for one buffer alone, is cleared and faulted in page by page each time: keep it,
# and take it in huge pages.
MALLOC = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000"
# In small letters, without dashes: flags that switch it off, and flags that are answered at once.
_OFF = {"nocpu_tuning", "cpu_tuning=false"}
_QUICK = {"h", "help", "helpshort", "helpfull", "list", "print_config", "dry_run", "mode=volumes"}


def tune(argv: Sequence[str]) -> None:
    """Starts the program again with malloc tuned for XLA on a CPU, where that pays.

    The process stays the same one: its number, terminal, signals and exit code. Call it before JAX
    is imported: what was imported is imported again.

    Args:
      argv: `sys.argv`.
    """
    if _glibc() and pays(argv, os.environ):
        with contextlib.suppress(OSError):  # it goes as well without, only slower
            os.execve(
                sys.executable,
                [sys.executable, *sys.orig_argv[1:]],
                {**os.environ, VARIABLE: MALLOC},
            )


def pays(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether tuning malloc is of use, and nobody has decided otherwise.

    Args:
      argv: As `sys.argv`.
      environ: As `os.environ`.
    """
    words = {argument.lstrip("-").lower() for argument in argv[1:] if argument.startswith("-")}
    platforms = set(environ.get("JAX_PLATFORMS", "").replace(",", " ").split())
    return not (words & (_OFF | _QUICK) or platforms - {"cpu"} or VARIABLE in environ)


def tuned() -> bool:
    """Whether this process runs with malloc tuned as `tune` does it."""
    return os.environ.get(VARIABLE) == MALLOC


def _glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (OSError, ValueError):  # another C library, or another system
        return False

"""Sets environment variables that must exist before Python starts (glibc malloc tuning).

Imports only light modules of the standard library.
"""

import contextlib
import itertools
import os
import sys
from collections.abc import Mapping, Sequence

VARIABLE = "GLIBC_TUNABLES"
# XLA:CPU allocates the buffers of every step with malloc. Memory that malloc returns to the system,
# or maps for a single buffer, is cleared and page-faulted again in every step. These settings make
# malloc keep it, in huge pages.
MALLOC = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000"
# In lower case without dashes: flags that disable tuning, and flags of commands that take no time.
_OFF = {"nocpu_tuning", "cpu_tuning=false"}
_QUICK = {"h", "help", "helpshort", "helpfull", "list", "print_config", "dry_run", "mode=volumes"}


def tune(argv: Sequence[str]) -> None:
    """Restarts the program by `exec` with malloc tuned for XLA:CPU, if that pays.

    The process keeps its ID, terminal, signals and exit code. Call it before importing JAX, since
    all imports are repeated.

    Args:
      argv: `sys.argv`.
    """
    if _glibc() and pays(argv, os.environ):
        with contextlib.suppress(OSError):  # the program also works untuned, only slower
            os.execve(
                sys.executable,
                [sys.executable, *sys.orig_argv[1:]],
                {**os.environ, VARIABLE: MALLOC},
            )


def pays(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether tuning malloc is useful and the user has not disabled it.

    Args:
      argv: `sys.argv`.
      environ: `os.environ`.
    """
    words = {argument.lstrip("-").lower() for argument in argv[1:] if argument.startswith("-")}
    platforms = set(_platforms(argv, environ).replace(",", " ").split())
    return not (words & (_OFF | _QUICK) or platforms - {"cpu"} or VARIABLE in environ)


def _platforms(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """JAX's platforms: those of the last flag `--jax_platforms`, or else of `$JAX_PLATFORMS`."""
    platforms = environ.get("JAX_PLATFORMS", "")
    for argument, following in itertools.pairwise([*argv[1:], ""]):
        name, equals, value = argument.partition("=")
        if name in ("-jax_platforms", "--jax_platforms"):
            platforms = value if equals else following
    return platforms


def _glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (OSError, ValueError):  # another C library, or another system
        return False

"""Explains that a device ran out of memory, in one line."""

import os
import re

import jax

# XLA's message on CPUs and GPUs: "Out of memory (while trying to) allocat(e|ing) N bytes".
_WANTED = re.compile(r"allocat\w* (\d+) ?bytes")


def out_of_memory(error: BaseException) -> str:
    """Returns the message for a user if JAX ran out of memory; "" for any other error."""
    text = str(error)
    if not isinstance(error, jax.errors.JaxRuntimeError) or "RESOURCE_EXHAUSTED" not in text:
        return ""
    wanted = _WANTED.search(text)
    asked = f"{_gib(int(wanted[1]))} wanted at once, " if wanted else ""
    return (
        f"out of memory: {asked}{_gib(_present())} present: lower --config.batch_size, "
        "process each batch in parts by --config.gradient='Accumulate(4)', or, on a GPU, set "
        "XLA_PYTHON_CLIENT_MEM_FRACTION=0.95"
    )


def _present() -> int:
    """Bytes that JAX may use on a device; on a CPU, the machine's memory."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"

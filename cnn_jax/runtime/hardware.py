"""What a number was measured on: devices, versions, the state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from cnn_jax.errors import UserError, first_line
from cnn_jax.runtime import compile_cache, host

# What decides a number; README and results/ change whenever one is recorded.
CODE = ("cnn_jax", "experiments", "run.py", "pyproject.toml")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy")


def be_deterministic() -> None:
    """Has XLA add in a fixed order on a GPU, at the cost of speed. Call it before JAX starts.

    Without it the gradients of convolutions, sums and scatters may differ in their last bits from
    launch to launch. On a CPU they never do.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def check_devices() -> None:
    """Raises UserError where the platform that JAX is told to use isn't there."""
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS", "the default platform")
        raise UserError(f"JAX can't start on {asked}: {first_line(error)}") from error


def device_name() -> str:
    """The devices in words: "AMD EPYC, 2 cores" or "4 x NVIDIA H100"."""
    devices = jax.local_devices()
    kind = devices[0].device_kind
    if devices[0].platform == "cpu":
        return f"{host.processor()}, {host.cores()} cores"
    return kind if len(devices) == 1 else f"{len(devices)} x {kind}"


def software() -> dict[str, str]:
    """The versions of Python and of the packages that decide a run's numbers."""
    return {"python": platform.python_version()} | {
        name: _version(name) for name in PACKAGES if _version(name)
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def git() -> dict[str, Any]:
    """The commit of the code, and whether the code differs from it; empty outside a checkout."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--", *CODE))}


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def manifest() -> dict[str, Any]:
    """Everything of the process that a run's numbers depend on besides its experiment."""
    return {
        "git": git(),
        "software": software(),
        "device": device_name(),
        "devices": [str(device) for device in jax.local_devices()],
        "platform": platform.platform(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES", ""),
        "compile_cache": compile_cache.folder(),
        "command": sys.argv,
    }

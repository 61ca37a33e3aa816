"""Describes what a result depends on: devices, software versions, the state of the code."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from cnn_jax.errors import UserError, first_line
from cnn_jax.runtime import compile_cache, host, jax_settings

# The files that determine results, unlike README and results/, which change with each result.
CODE = ("cnn_jax", "experiments", "run.py", "pyproject.toml")
PACKAGES = (
    "cnn_jax",
    "jax",
    "jaxlib",
    "libtpu",
    "flax",
    "optax",
    "orbax-checkpoint",
    "tensorflow-datasets",
    "numpy",
)


def be_deterministic() -> None:
    """Makes XLA deterministic on GPUs, at the cost of speed. Call it before JAX starts.

    Otherwise gradients of convolutions, sums and scatters may differ in their last bits between
    executions. On CPUs they never do.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def check_devices() -> None:
    """Raises UserError if the platform that JAX should use is not available."""
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        settings: Any = jax.config
        asked = settings.jax_platforms or "the default platform"
        raise UserError(f"JAX can't start on {asked}: {first_line(error)}") from error


def device_name() -> str:
    """Describes the devices: "AMD EPYC, 2 cores" or "4 x NVIDIA H100"."""
    devices, processes = jax.devices(), jax.process_count()
    kind = devices[0].device_kind
    if devices[0].platform == "cpu":
        name = f"{host.processor()}, {host.cores()} cores"
        return name if processes == 1 else f"{processes} processes on {name}"
    return kind if len(devices) == 1 else f"{len(devices)} x {kind}"


def software() -> dict[str, str]:
    """Returns the versions of Python and of the packages that affect results."""
    return {"python": platform.python_version()} | {
        name: _version(name) for name in PACKAGES if _version(name)
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def git() -> dict[str, Any]:
    """Returns the commit of the code and whether the code differs; empty outside a checkout."""
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
    """Returns everything besides the experiment that may affect a run's results."""
    return {
        "git": git(),
        "software": software(),
        "device": device_name(),
        "devices": [str(device) for device in jax.devices()],
        "platform": platform.platform(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "jax_settings": jax_settings.changing_results(),
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES", ""),
        "compile_cache": compile_cache.folder(),
        "command": sys.argv,
    }

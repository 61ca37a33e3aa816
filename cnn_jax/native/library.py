"""Compiles the operations in C++, loads them, and makes them known to JAX."""

import ctypes
import functools
import importlib.metadata
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import jax
import jaxlib

from cnn_jax.errors import UserError
from cnn_jax.storage import cache_folder

# JAX's names of the operations.
CONVOLVE, WINOGRAD, WINOGRAD_GRADIENT, MOMENTS, NORM_GRADIENTS = (
    f"cnn_jax_{name}"
    for name in ("convolve", "winograd", "winograd_gradient", "moments", "norm_gradients")
)
FOLDER = Path(__file__).parent
SOURCES = sorted(FOLDER.glob("*.cc"))
INCLUDED = sorted(FOLDER.glob("*.h"))
# Packages of the extra `onednn`, each with a file that it holds.
RUNTIME = ("onednn-cpu-gomp", "libdnnl.so.3")
HEADERS = ("onednn-devel-cpu-gomp", "oneapi/dnnl/dnnl.hpp")
FLAGS = ("-std=c++17", "-O3", "-Wno-psabi", "-fPIC", "-shared")


@functools.cache
def load() -> ctypes.CDLL:
    """Makes the operations known to JAX.

    Returns:
      The library. `CnnJaxHasAvx512()` and `CnnJaxHasBfloat16()` are 1 if the processor has these
      instructions.

    Raises:
      UserError: see `compiled`.
    """
    library = compiled()
    for name, function in (
        (CONVOLVE, library.CnnJaxConvolve),
        (WINOGRAD, library.CnnJaxWinograd),
        (WINOGRAD_GRADIENT, library.CnnJaxWinogradGradient),
        (MOMENTS, library.CnnJaxMoments),
        (NORM_GRADIENTS, library.CnnJaxNormGradients),
    ):
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(function), platform="cpu")
    return library


def compiled() -> ctypes.CDLL:
    """Loads the library, compiled in 15 seconds if the user's cache does not have it yet.

    Raises:
      UserError: oneDNN or a C++ compiler is missing, or it does not compile.
    """
    command = _command()
    # oneDNN's threads would otherwise wait for work at full speed, and slow down those of XLA.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return _from_cache(command)
    except OSError as error:
        raise UserError(f"convolutions='onednn' needs a C++ compiler: {error}") from error


def _command() -> list[str]:
    """The compiler's command, without its output."""
    library, header = _file_of(*RUNTIME), _file_of(*HEADERS)
    include = header.parents[len(Path(HEADERS[1]).parts) - 1]
    folders = [jax.ffi.include_dir(), str(include)]
    return [
        *shlex.split(os.environ.get("CXX") or "c++"),
        *FLAGS,
        *(word for folder in folders for word in ("-isystem", folder)),
        *map(str, SOURCES),
        str(library),
        f"-Wl,-rpath,{library.parent}",
    ]


def _file_of(package: str, ending: str) -> Path:
    """Where an installed package has the file of this name. Raises UserError."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.as_posix().endswith(f"/{ending}"):
            return Path(str(file.locate())).resolve()
    raise UserError(
        f"convolutions='onednn' needs {package}, for Linux on x86-64: pip install -e '.[onednn]'"
    )


def _from_cache(command: list[str]) -> ctypes.CDLL:
    """The library that the command makes, kept in the user's cache. Raises UserError, OSError."""
    texts = [file.read_text() for file in (*SOURCES, *INCLUDED)]
    key = cache_folder.key([command, *texts, jaxlib.__version__])
    try:
        folder = cache_folder.user_cache() / "native"
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / f"{key}.so"
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                os.replace(_compile(command, Path(scratch)), kept)
        return ctypes.CDLL(str(kept))
    except (OSError, RuntimeError):  # no home, or a folder that can't be written or run from
        with tempfile.TemporaryDirectory() as scratch:
            return ctypes.CDLL(str(_compile(command, Path(scratch))))


def _compile(command: list[str], folder: Path) -> Path:
    """Returns the library, compiled into the folder. Raises UserError, OSError."""
    library = folder / "library.so"
    done = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
        raise UserError(f"convolutions='onednn' could not be compiled: {said[0]}")
    return library

"""A recipe is a Python file that defines `experiment`. Finds it, runs it, checks what it made."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from cnn_jax.config import fields
from cnn_jax.config.check import check
from cnn_jax.config.construct import Names, explain
from cnn_jax.config.errors import ConfigError, nearest
from cnn_jax.config.expression import public_names
from cnn_jax.errors import place_of

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@dataclass(frozen=True)
class Recipe:
    """A recipe that has been read.

    Attributes:
      name: The file's name without `.py`.
      path: The file.
      sha256: Hex digest of its bytes.
      experiment: What it defines under that name, checked.
      names: What an expression may call here: what the caller gave, the public classes and
        functions of the file itself, and the classes of the experiment's objects.
      doc: First line of its docstring.
    """

    name: str
    path: Path
    sha256: str
    experiment: Any
    names: Names = field(repr=False)
    doc: str = ""


def recipes(experiments_dir: Path | str | None = None) -> dict[str, Path]:
    """The recipes in a folder, by name: every `.py` that doesn't start with an underscore."""
    folder = EXPERIMENTS if experiments_dir is None else Path(experiments_dir)
    return {path.stem: path for path in sorted(folder.glob("[!_.]*.py"))}


def load(
    recipe: str, names: Names | None = None, experiments_dir: Path | str | None = None
) -> Recipe:
    """Reads a recipe. Its file is executed, and nothing else is.

    Args:
      recipe: The name of a file in the folder of experiments, or a path that ends in `.py`.
      names: What expressions may call, besides what the recipe brings.
      experiments_dir: The folder; `experiments/` beside the package by default.

    Raises:
      ConfigError: There is no such recipe, it fails, or it defines no valid `experiment`.
    """
    path = _find(recipe, experiments_dir)
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    sha256 = hashlib.sha256(source).hexdigest()
    module = _run(path, source, f"recipe_{path.stem}_{sha256}", names or {})
    experiment = getattr(module, "experiment", None)
    if not fields.is_config(experiment):
        raise ConfigError(
            f"{path}: defines no `experiment`; a recipe ends with experiment = Experiment(...)"
        )
    try:
        check(experiment)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    known = public_names(names or {}, module, fields.classes(experiment))
    doc = (module.__doc__ or "").strip().partition("\n")[0]
    return Recipe(path.stem, path, sha256, experiment, known, doc)


def _find(recipe: str, experiments_dir: Path | str | None) -> Path:
    if recipe.endswith(".py"):
        path = Path(recipe).expanduser()
        if not os.path.isfile(path):  # False too for a name that is too long
            raise ConfigError(f"No recipe file {recipe}")
        return path
    known = recipes(experiments_dir)
    if recipe not in known:
        meant = nearest(recipe, known)
        hint = f" Did you mean {meant}?" if meant else ""
        listed = ", ".join(known)
        raise ConfigError(f"Unknown recipe {recipe!r}.{hint} Recipes: {listed}, or a path to a .py")
    return known[recipe]


def _run(path: Path, source: bytes, name: str, names: Names) -> ModuleType:
    """Executes the bytes that were hashed, once per content, so that classes stay the same."""
    if name in sys.modules and sys.modules[name].__file__ == str(path.resolve()):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__recipe__"] = path.stem
    # Dataclasses and annotations look their module up.
    sys.modules[name] = module
    # A recipe may import the files beside it, and what it defines may do so when it is called.
    if str(path.resolve().parent) not in sys.path:
        sys.path.append(str(path.resolve().parent))
    try:
        exec(compile(source, str(path.resolve()), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigError(_failure(error, path, {**names, **vars(module)})) from error
    return module


def _failure(error: BaseException, path: Path, names: Mapping[str, Any]) -> str:
    """Says in one line what failed where: in the recipe, or in a file as it was imported."""
    recipe = str(path.resolve())
    if isinstance(error, SyntaxError) and error.filename:
        file = path if error.filename == recipe else error.filename
        return f"{file}:{error.lineno}: {error.msg}"
    place = place_of(error, within="<module>")
    if place.startswith(f"{recipe}:"):
        return f"{path}{place.removeprefix(recipe)}: {explain(error, names)}"
    if not place:  # it was not read that far
        return f"{path}: {explain(error, names)}"
    return f"{place}: {explain(error, {}).rstrip('.')}, imported by {path}"

"""Loads a recipe, a Python file that defines `experiment`: finds, executes and checks it."""

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
from cnn_jax.config.expression import public_names
from cnn_jax.config.spelling import nearest
from cnn_jax.errors import ConfigError, UserError, location_of
from cnn_jax.storage.local_paths import local_path

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@dataclass(frozen=True)
class Recipe:
    """A loaded recipe.

    Attributes:
      name: The file's name without `.py`.
      path: The file.
      sha256: Hex digest of the file's bytes.
      experiment: The checked `experiment` that the file defines.
      names: Classes and functions that expressions may call, by name: those of the caller, the
        public ones of the file, and the classes of the experiment's objects.
      doc: First line of the file's docstring.
    """

    name: str
    path: Path
    sha256: str
    experiment: Any
    names: Names = field(repr=False)
    doc: str = ""


def recipes(experiments_dir: Path | str | None = None) -> dict[str, Path]:
    """Returns the recipes of a folder by name: each `.py` that does not start with "_" or "."."""
    folder = EXPERIMENTS if experiments_dir is None else Path(experiments_dir)
    return {path.stem: path for path in sorted(folder.glob("[!_.]*.py"))}


def load(
    recipe: str, names: Names | None = None, experiments_dir: Path | str | None = None
) -> Recipe:
    """Loads a recipe by executing its file.

    Args:
      recipe: The name of a file in the folder of experiments, or a path that ends in `.py`.
      names: Classes and functions that expressions may call, besides the recipe's own.
      experiments_dir: The folder; default: `experiments/` beside the package.

    Raises:
      ConfigError: The recipe does not exist, fails, or defines no valid `experiment`.
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
        try:
            path = local_path(recipe, "recipe")
        except UserError as error:
            raise ConfigError(str(error)) from error
        if not os.path.isfile(path):  # also False if the name is too long
            raise ConfigError(f"No recipe file {recipe}")
        return path
    known = recipes(experiments_dir)
    if recipe not in known:
        meant = nearest(recipe, known)
        hint = f" Did you mean {meant}?" if meant else ""
        raise ConfigError(
            f"Unknown recipe {recipe!r}.{hint} Recipes: {', '.join(known)}, or a path to a .py"
        )
    return known[recipe]


def _run(path: Path, source: bytes, name: str, names: Names) -> ModuleType:
    """Executes the source once per content, so that its classes keep their identity."""
    if name in sys.modules and sys.modules[name].__file__ == str(path.resolve()):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__recipe__"] = path.stem
    # Dataclasses and annotations look up their module here.
    sys.modules[name] = module
    # A recipe may import the files beside it, and its functions may do so when they are called.
    if str(path.resolve().parent) not in sys.path:
        sys.path.append(str(path.resolve().parent))
    try:
        exec(compile(source, str(path.resolve()), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigError(_failure(error, path, {**names, **vars(module)})) from error
    return module


def _failure(error: BaseException, path: Path, names: Mapping[str, Any]) -> str:
    """Explains in one line what failed, and where: in the recipe, or in a file that it imports."""
    recipe = str(path.resolve())
    if isinstance(error, SyntaxError) and error.filename:
        file = path if error.filename == recipe else error.filename
        return f"{file}:{error.lineno}: {error.msg}"
    place = location_of(error, within="<module>")
    if place.startswith(f"{recipe}:"):
        return f"{path}{place.removeprefix(recipe)}: {explain(error, names)}"
    if not place:  # the file could not be compiled
        return f"{path}: {explain(error, names)}"
    return f"{place}: {explain(error, {}).rstrip('.')}, imported by {path}"

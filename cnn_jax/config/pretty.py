"""Formats a config for people: over several lines, or as a recipe file."""

import sys
from pathlib import Path
from typing import Any

from cnn_jax.config import fields
from cnn_jax.config.construct import Names
from cnn_jax.config.expression import NO_NAMES, shortest_call, to_text


def to_pretty(value: Any, width: int = 88, names: Names = NO_NAMES) -> str:
    """Formats a value as `to_text` does, broken over lines that are at most `width` wide."""
    return _pretty(value, width, names, indent=0, around=0)


def _pretty(value: Any, width: int, names: Names, indent: int, around: int) -> str:
    text = to_text(value, names)
    if fields.is_config(value):
        make, arguments = shortest_call(value, names)
        head, parts = make.__name__, list(arguments.items())
    elif isinstance(value, tuple):
        head, parts = "", [("", part) for part in value]
    else:
        return text
    if indent + around + len(text) <= width or not parts:
        return text
    lines = [f"{head}("]
    for name, part in parts:
        label = f"{name}=" if name else ""
        inner = _pretty(part, width, names, indent + 4, len(label) + 1)
        lines.append(f"{' ' * (indent + 4)}{label}{inner},")
    return "\n".join([*lines, f"{' ' * indent})"])


def to_recipe(
    experiment: Any, doc: str = "", names: Names = NO_NAMES, folder: Path | None = None
) -> str:
    """Returns the text of a recipe file for an experiment: imports and `experiment = ...`.

    Args:
      experiment: The experiment.
      doc: The file's docstring.
      names: Functions that the text may call, as in `to_text`.
      folder: Where the file will be. A class that a recipe's file defines is imported from there,
        so that other folders are added to `sys.path`; None: the file will be beside that one.
    """
    imports: dict[str, set[str]] = {}
    folders: set[Path] = set()
    _gather(experiment, imports, folders, names)
    head = [f'"""{doc}"""', ""] if doc else []
    if folder and (others := folders - {folder.resolve()}):
        head += ["import sys", "", *(f"sys.path.append({str(other)!r})" for other in others)]
    lines = [f"from {module} import {', '.join(sorted(imports[module]))}" for module in imports]
    return "\n".join(
        [*head, *sorted(lines), "", f"experiment = {to_pretty(experiment, names=names)}", ""]
    )


def _gather(value: Any, imports: dict[str, set[str]], folders: set[Path], names: Names) -> None:
    """Adds the names that a value's text imports, and the folders of recipes that define some."""
    if isinstance(value, tuple):
        for part in value:
            _gather(part, imports, folders, names)
    elif fields.is_config(value):
        make, arguments = shortest_call(value, names)
        # The module of a recipe has a generated name; its file is imported by the file's name.
        source = sys.modules.get(make.__module__)
        module = getattr(source, "__recipe__", make.__module__)
        if module != make.__module__:
            folders.add(Path(str(getattr(source, "__file__", ""))).resolve().parent)
        imports.setdefault(module, set()).add(make.__name__)
        for part in arguments.values():
            _gather(part, imports, folders, names)

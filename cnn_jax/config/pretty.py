"""Formats a config for people: over several lines, or as a recipe file."""

import sys
from typing import Any

from cnn_jax.config import fields
from cnn_jax.config.expression import to_text


def to_pretty(value: Any, width: int = 88) -> str:
    """Formats a value as `to_text` does, broken over lines that are at most `width` wide."""
    return _pretty(value, width, indent=0, around=0)


def _pretty(value: Any, width: int, indent: int, around: int) -> str:
    text = to_text(value)
    if fields.is_config(value):
        head, parts = type(value).__name__, list(fields.settings(value))
    elif isinstance(value, tuple):
        head, parts = "", [("", part) for part in value]
    else:
        return text
    if indent + around + len(text) <= width or not parts:
        return text
    lines = [f"{head}("]
    for name, part in parts:
        label = f"{name}=" if name else ""
        inner = _pretty(part, width, indent + 4, len(label) + 1)
        lines.append(f"{' ' * (indent + 4)}{label}{inner},")
    return "\n".join([*lines, f"{' ' * indent})"])


def to_recipe(experiment: Any, doc: str = "") -> str:
    """Returns the text of a recipe file for an experiment: imports and `experiment = ...`.

    A class defined in a recipe file is imported from it, so save the text beside that file.
    """
    imports: dict[str, set[str]] = {}
    _gather(experiment, imports)
    head = [f'"""{doc}"""', ""] if doc else []
    lines = [f"from {module} import {', '.join(sorted(imports[module]))}" for module in imports]
    return "\n".join([*head, *sorted(lines), "", f"experiment = {to_pretty(experiment)}", ""])


def _gather(value: Any, imports: dict[str, set[str]]) -> None:
    if isinstance(value, tuple):
        for part in value:
            _gather(part, imports)
    elif fields.is_config(value):
        cls = type(value)
        # The module of a recipe has a generated name; its file is imported by the file's name.
        module = getattr(sys.modules.get(cls.__module__), "__recipe__", cls.__module__)
        imports.setdefault(module, set()).add(cls.__name__)
        for _, part in fields.settings(value):
            _gather(part, imports)

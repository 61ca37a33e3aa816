"""Prints a config for people: over several lines, or as a recipe that runs."""

from __future__ import annotations

import sys
from typing import Any

from cnn_jax.config import fields
from cnn_jax.config.expression import to_text


def to_pretty(value: Any, width: int = 88) -> str:
    """The same as `to_text`, broken over lines where it is longer than the width."""
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
    """Writes a recipe file that makes the experiment: imports and `experiment = ...`.

    A class that a recipe file defines is imported from that file, so the text belongs beside it.
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
        # A recipe's module has a made-up name and is known by its file's.
        module = getattr(sys.modules.get(cls.__module__), "__recipe__", cls.__module__)
        imports.setdefault(module, set()).add(cls.__name__)
        for _, part in fields.settings(value):
            _gather(part, imports)

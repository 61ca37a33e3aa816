"""Takes a config apart: its fields, and those of the objects in it, by dotted name."""

import ast
from typing import Any

from cnn_jax.config import fields
from cnn_jax.config.expression import to_text


def every_field(config: Any) -> dict[str, str]:
    """All fields of a config object, also those at their defaults, as `flat` writes them."""
    found: dict[str, str] = {}

    def walk(value: Any, path: str) -> None:
        if fields.is_config(value):
            found[path] = type(value).__name__
            parts = [(one.name, getattr(value, one.name)) for one in fields.config_fields(value)]
        elif isinstance(value, tuple) and any(map(fields.is_config, value)):
            parts = [(str(number), part) for number, part in enumerate(value)]
        else:
            found[path] = to_text(value)
            return
        for name, part in parts:
            walk(part, f"{path}.{name}" if path else name)

    walk(config, "")
    found.pop("", None)
    return found


def flat(text: str) -> dict[str, str]:
    """The fields of a constructor expression: `optimizer` "SGD", `optimizer.peak_lr` "0.1".

    The expression is parsed, not built, so custom classes are not needed.
    """
    found: dict[str, str] = {}

    def walk(node: ast.expr, path: str) -> None:
        if isinstance(node, ast.Call):
            found[path] = ast.unparse(node.func)
            parts = [(str(number), part) for number, part in enumerate(node.args)]
            parts += [(keyword.arg or "", keyword.value) for keyword in node.keywords]
        elif isinstance(node, ast.Tuple) and any(isinstance(e, ast.Call) for e in node.elts):
            parts = [(str(number), part) for number, part in enumerate(node.elts)]
        else:
            found[path] = ast.unparse(node)
            return
        for name, part in parts:
            walk(part, f"{path}.{name}" if path else name)

    walk(ast.parse(text, mode="eval").body, "")
    found.pop("", None)
    return found

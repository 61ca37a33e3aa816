"""Formats --help: the plain flags, and every field of the chosen recipe."""

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cnn_jax.config import fields
from cnn_jax.config.check import is_plain, shown, type_text
from cnn_jax.config.expression import to_text

_NAME_WIDTH = 34


class Row(NamedTuple):
    """One line of help: a flag's dotted name, type, default as text, and meaning."""

    name: str
    type: str
    default: str
    help: str


def describe(config: Any, path: str = "config") -> list[Row]:
    """Returns a row for every field of a config, recursively; defaults are the present values."""
    rows = []
    hints, meanings = fields.hints(config.__class__), fields.meanings(config.__class__)
    for field in fields.config_fields(config):
        name, value = f"{path}.{field.name}", getattr(config, field.name)
        kind = type_text(hints.get(field.name, Any))
        rows.append(Row(name, kind, _brief(value), meanings.get(field.name, "")))
        parts = {name: value}
        if isinstance(value, tuple):
            parts = {f"{name}.{index}": part for index, part in enumerate(value)}
        for part_name, part in parts.items():
            if fields.is_config(part):
                rows += describe(part, part_name)
    return rows


def _brief(value: Any) -> str:
    """Formats a value, an object as its class only: the object's fields have their own rows."""
    if fields.is_config(value):
        return type(value).__name__
    if isinstance(value, tuple) and any(fields.is_config(part) for part in value):
        return f"({', '.join(map(_brief, value))}{',' * (len(value) == 1)})"
    return to_text(value) if is_plain(value) else shown(value)


def render(usage: str, groups: Mapping[str, Sequence[Row]], width: int | None = None) -> str:
    """Lays the help out for a terminal.

    Args:
      usage: First lines: how to call the program, and examples.
      groups: Rows by the title of their group.
      width: Columns, at least 60; default: the terminal's width.
    """
    width = max(60, min(width or shutil.get_terminal_size((100, 24)).columns, 120))
    lines = [usage.strip()]
    for title, rows in groups.items():
        lines += ["", f"{title}:"]
        for row in rows:
            lines += _lay_out(row, width)
    return "\n".join(lines) + "\n"


def _lay_out(row: Row, width: int) -> list[str]:
    flag = f"  --{row.name}"
    default = f" [{row.default}]" if row.default else ""
    text = f"{row.type}{default}{': ' if row.help else ''}{row.help}"
    body = textwrap.wrap(text, width - _NAME_WIDTH, break_on_hyphens=False) or [""]
    margin = " " * _NAME_WIDTH
    if len(flag) + 2 > _NAME_WIDTH:
        return [flag, *(margin + line for line in body)]
    return [flag.ljust(_NAME_WIDTH) + body[0], *(margin + line for line in body[1:])]

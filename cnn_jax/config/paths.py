"""Finds and replaces the local paths in a config: the fields that are annotated `LocalPath`."""

import dataclasses
import operator
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, Union

from cnn_jax import ranges
from cnn_jax.config import fields
from cnn_jax.config.check import element

T = TypeVar("T")


def local_paths(config: Any) -> dict[str, str]:
    """Returns the paths in a config and in all objects in it: {"data.path": "photos"}.

    An element of a tuple is named by its index, as in flags. Empty paths are left out.
    """
    found: dict[str, str] = {}

    def note(name: str, path: str) -> str:
        found[name] = path
        return path

    _walk(config, Any, "", note)
    return found


def with_paths(config: T, paths: Mapping[str, str]) -> T:
    """Returns the config with other paths, named as by `local_paths`; unknown names are ignored."""
    return _walk(config, Any, "", lambda name, path: paths.get(name, path))


def _walk(value: Any, annotation: Any, name: str, visit: Callable[[str, str], str]) -> Any:
    """Returns the value with each path replaced by what `visit(name, path)` returns."""
    if isinstance(value, str):
        return visit(name, value) if value and _is_path(annotation) else value
    if isinstance(value, tuple):
        parts = [
            _walk(part, element(annotation, index), _below(name, index), visit)
            for index, part in enumerate(value)
        ]
        return value if all(map(operator.is_, parts, value)) else tuple(parts)
    if not fields.is_config(value):
        return value
    annotations = ranges.declared(value.__class__)
    changed = {}
    for field in fields.config_fields(value):
        old = getattr(value, field.name)
        new = _walk(old, annotations.get(field.name, Any), _below(name, field.name), visit)
        if new is not old:
            changed[field.name] = new
    return dataclasses.replace(value, **changed) if changed else value


def _is_path(annotation: Any) -> bool:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        marks = annotation.__metadata__
        return any(isinstance(mark, ranges.Local) for mark in marks) or _is_path(arguments[0])
    return origin in (Union, types.UnionType) and any(map(_is_path, arguments))


def _below(name: str, part: str | int) -> str:
    return f"{name}.{part}" if name else str(part)

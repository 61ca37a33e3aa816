"""Inspects config objects: their fields, annotations, defaults and documentation."""

import dataclasses
import functools
import inspect
import operator
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from cnn_jax.errors import ConfigError
from cnn_jax.ranges import BEFORE

_MISSING = dataclasses.MISSING


def is_config(value: object) -> bool:
    """Whether a value is a config object: an instance of a dataclass (a linen module is one)."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def config_fields(config: Any) -> list[dataclasses.Field[Any]]:
    """Returns the fields of a config object or class that a user may set, in `__init__` order.

    Leaves out the `parent` and `name` of a linen module.
    """
    # Keyword-only fields come last in `__init__`, even those of a base class.
    order = sorted(dataclasses.fields(config), key=lambda field: bool(field.kw_only))
    fields = [field for field in order if field.init]
    cls = config if isinstance(config, type) else type(config)
    linen = {"parent", "name"}
    # Recognised by name, so that reading a config never imports flax.
    if any(base.__module__.partition(".")[0] == "flax" for base in cls.__mro__) and linen <= {
        field.name for field in fields
    }:
        return [field for field in fields if field.name not in linen]
    return fields


@functools.cache
def hints(cls: Any) -> Mapping[str, Any]:
    """Returns the resolved annotations of a class by field name.

    Raises:
      ConfigError: An annotation uses a name that its module lacks.
    """
    try:
        return typing.get_type_hints(cls)
    except NameError as error:
        raise ConfigError(
            f"the annotations of {cls.__name__} can't be resolved: {error}; define or import the "
            "name in the class's module, outside `if TYPE_CHECKING`"
        ) from error


def classes(value: Any) -> dict[str, type]:
    """Returns the classes of a config and of all objects in it, by name."""
    found: dict[str, type] = {}
    if is_config(value):
        found[type(value).__name__] = type(value)
        value = tuple(getattr(value, field.name) for field in config_fields(value))
    for part in value if isinstance(value, tuple) else ():
        found |= classes(part)
    return found


def default(field: dataclasses.Field[Any]) -> Any:
    """Returns a field's default, or `dataclasses.MISSING`."""
    if field.default_factory is not _MISSING:
        return field.default_factory()
    return field.default


def settings(config: Any, base: Any = None) -> Iterator[tuple[str, Any]]:
    """Yields the names and values of the fields that differ from `base`, or from their defaults."""
    for field in config_fields(config):
        value = getattr(config, field.name)
        usual = default(field) if base is None else getattr(base, field.name)
        if not _same(value, usual):
            yield field.name, value


def written(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields the names and values of the fields that a config file states.

    These are `settings`, and all that has a `ranges.added_field`, even at its default: a file
    without it is then known to be older than the field.
    """
    changed = dict(settings(config))
    for field in config_fields(config):
        value = getattr(config, field.name)
        if field.name in changed or BEFORE in field.metadata or in_older_files(value) is not value:
            yield field.name, value


def changed_since(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields the names and values of the fields that differ from what older files omit."""
    past = dict(omitted(type(config)))
    for field in config_fields(config):
        value = getattr(config, field.name)
        if not _same(value, past.get(field.name, default(field))):
            yield field.name, value


def omitted(cls: Any) -> Iterator[tuple[str, Any]]:
    """Yields what a config file that omits a field means by it, where that is not its default."""
    for field in config_fields(cls):
        if BEFORE in field.metadata:
            yield field.name, field.metadata[BEFORE]
        elif in_older_files(usual := default(field)) is not usual:
            yield field.name, in_older_files(usual)


def in_older_files(value: Any) -> Any:
    """Returns a value with every `ranges.added_field` in it as in files older than the field."""
    if isinstance(value, tuple):
        parts = tuple(in_older_files(part) for part in value)
        return value if all(map(operator.is_, parts, value)) else parts
    if not is_config(value):
        return value
    past = {}
    for field in config_fields(value):
        now = getattr(value, field.name)
        before = field.metadata[BEFORE] if BEFORE in field.metadata else in_older_files(now)
        if not _same(before, now):
            past[field.name] = before
    return dataclasses.replace(value, **past) if past else value


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal and written alike: 1 and True are equal, but are not."""
    numbers = (int, float)
    alike = type(one) is type(other) or (type(one) in numbers and type(other) in numbers)
    return one is other or (alike and one == other)


@functools.cache
def meanings(cls: Any) -> Mapping[str, str]:
    """Returns the documentation of each field, from the docstrings of the class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        doc = inspect.cleandoc(vars(base).get("__doc__") or "")
        section = re.search(r"^Attributes:\n((?:[ \t]+.*(?:\n|$)|\n)+)", doc, re.MULTILINE)
        entries = inspect.cleandoc("\n" + section[1]) if section else ""
        for entry in re.split(r"\n(?=\S)", entries):
            name, _, text = entry.partition(":")
            found[name.partition("(")[0].strip()] = " ".join(text.split())
    return found

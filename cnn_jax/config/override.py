"""Applies flags to a config. An object's own flag is applied before the flags of its fields."""

import ast
import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from cnn_jax.config import expression, fields
from cnn_jax.config.check import element, fit, holds_objects
from cnn_jax.config.construct import Names, construct, explain
from cnn_jax.config.expression import NO_NAMES, to_text
from cnn_jax.errors import ConfigError


class Source(NamedTuple):
    """A flag of the command line: its text, and the value read from it."""

    text: str
    value: Any


_MISSING = dataclasses.MISSING

# (name of the flag, annotation, function that reads its text) -> the flag, None if not given.
LookUp = Callable[[str, Any, Callable[[str], Any]], Source | None]


@dataclass(frozen=True)
class Overridden:
    """A config with its overrides applied.

    Attributes:
      config: The new config.
      overridden: Dotted names of the overridden fields, such as "optimizer.peak_lr".
      notes: Lines that report settings which an override has discarded.
    """

    config: Any
    overridden: tuple[str, ...]
    notes: list[str]


class Tree:
    """A walk over the fields of a config that looks up the flag of each."""

    def __init__(self, look_up: LookUp, names: Names):
        self._look_up = look_up
        self._names = names
        self._given: dict[str, str] = {}
        self._notes: list[str] = []
        self.values: dict[str, Any] = {}  # by dotted name, after the flag of that name

    def override(self, config: Any, path: str = "config") -> Overridden:
        """Returns the config with every flag applied. Raises ConfigError."""
        new = self._descend(config, Any, path)
        given = tuple(name.removeprefix(f"{path}.") for name in self._given)
        return Overridden(new, given, self._notes)

    def _visit(self, value: Any, annotation: Any, path: str, default: Any) -> Any:
        source = self._look_up(
            path, annotation, partial(self._read, annotation=annotation, path=path)
        )
        if source:
            self._given[path] = source.text
            if value != default:
                self._note(value, source, path)
            value = source.value
        self.values[path] = value
        return self._descend(value, annotation, path, default)

    def _read(self, text: str, annotation: Any, path: str) -> Any:
        make = self._names.get(text)
        if isinstance(make, type) and holds_objects(annotation):
            needed = self._required(make, path)
            if needed:
                return fit(construct(text, make, [], needed, self._names), annotation)
        return expression.read(text, annotation, self._names)

    def _required(self, make: type, path: str) -> dict[str, Any]:
        """Returns the required fields that have flags, such as `--config.optimizer.peak_lr=0.1`."""
        found = {}
        for field in fields.config_fields(make):
            if fields.default(field) is dataclasses.MISSING:
                name, hint = f"{path}.{field.name}", fields.hints(make).get(field.name, Any)
                source = self._look_up(name, hint, partial(self._read, annotation=hint, path=name))
                if source:
                    found[field.name] = source.value
        return found

    def _note(self, old: Any, source: Source, path: str) -> None:
        """Notes the settings that are lost where a flag replaces an object without stating them."""
        if not (fields.is_config(old) and fields.is_config(source.value)):
            return
        new = {f.name: getattr(source.value, f.name) for f in fields.config_fields(source.value)}
        anew = _stated(source) | {name for name in new if self._has_flag(source, path, name)}
        # What an object can't be made without is not a setting of another kind of object.
        needed = {f.name for f in fields.config_fields(old) if fields.default(f) is _MISSING}
        make, arguments = expression.shortest_call(old, self._names)
        dropped = [
            f"{name}={to_text(value)}"
            for name, value in arguments.items()
            if name not in anew and (new[name] != value if name in new else name not in needed)
        ]
        if dropped:
            lost = f"{make.__name__}({', '.join(dropped)})"
            self._notes.append(f"--{path}={source.text} discards the settings of {lost}")

    def _has_flag(self, source: Source, path: str, name: str) -> bool:
        hint, flag = fields.hints(source.value.__class__).get(name, Any), f"{path}.{name}"
        read = partial(self._read, annotation=hint, path=flag)
        return self._look_up(flag, hint, read) is not None

    def _descend(self, value: Any, annotation: Any, path: str, default: Any = _MISSING) -> Any:
        if isinstance(value, tuple):
            same = isinstance(default, tuple) and len(default) == len(value)
            parts = [
                self._visit(
                    part,
                    element(annotation, index),
                    f"{path}.{index}",
                    default[index] if same else _MISSING,
                )
                for index, part in enumerate(value)
            ]
            return tuple(parts)
        if not fields.is_config(value):
            return value
        hints = fields.hints(value.__class__)
        changed = {}
        for field in fields.config_fields(value):
            old = getattr(value, field.name)
            new = self._visit(
                old, hints.get(field.name, Any), f"{path}.{field.name}", fields.default(field)
            )
            if new is not old:
                changed[field.name] = new
        try:
            return dataclasses.replace(value, **changed) if changed else value
        except Exception as error:  # the class rejected the user's value
            raise ConfigError(self._blame(explain(error, self._names), path)) from error

    def _blame(self, message: str, path: str) -> str:
        """Prefixes a message with the flags below a path: those that it mentions, or else all."""
        below = [name for name in self._given if name.startswith(f"{path}.")]
        words = set(re.findall(r"\w+", message))
        mentioned = [name for name in below if name[len(path) + 1 :].partition(".")[0] in words]
        flags = " ".join(f"--{name}={self._given[name]}" for name in mentioned or below)
        return f"{flags}: {message}"


def _stated(source: Source) -> set[str]:
    """The fields that an expression states, such as "peak_lr" in `Adam(peak_lr=0.1)`."""
    call = ast.parse(source.text.strip(), mode="eval").body
    if not isinstance(call, ast.Call):
        return set()
    names = [field.name for field in fields.config_fields(source.value)]
    return {*names[: len(call.args)], *(word.arg for word in call.keywords if word.arg)}


def diff(old: Any, new: Any, names: Names = NO_NAMES, path: str = "") -> list[str]:
    """Lists the fields in which two configs differ: "optimizer.peak_lr: 0.1 -> 0.2".

    Values are written as `to_text(value, names)` writes them.
    """
    if fields.is_config(old) and type(old) is type(new):
        shared = [field.name for field in fields.config_fields(old)]
        pairs = [(name, getattr(old, name), getattr(new, name)) for name in shared]
    elif isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(old, new, strict=True))]
    elif old == new:
        return []
    else:
        return [f"{path}: {to_text(old, names)} -> {to_text(new, names)}"]
    return [
        line
        for name, a, b in pairs
        for line in diff(a, b, names, f"{path}.{name}" if path else name)
    ]

"""Reads and writes constructor expressions, the syntax of flags, config.json and --print_config.

`ResNet(width=16)`, `(Flip(), RandomCrop(4))`, `0.1`, `None`: Python literals, tuples and calls. The
parser accepts only these forms and never evaluates code.
"""

import ast
import contextlib
import dataclasses
import functools
import inspect
import sys
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

from cnn_jax.config import fields
from cnn_jax.config.check import arms, element, fit, holds_objects, shown, takes_word, type_text
from cnn_jax.config.construct import Names, construct, fitting, parameters
from cnn_jax.config.spelling import suggestion
from cnn_jax.errors import ConfigError

_LONGEST = 50_000
# A class or function, and its keyword arguments.
Call = tuple[Callable[..., Any], dict[str, Any]]
NO_NAMES: Names = types.MappingProxyType({})


def public_names(*sources: types.ModuleType | Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Returns the classes and functions that an expression may call, by name.

    Args:
      *sources: Modules, which contribute the names in `__all__` (or, without one, their public
        names from outside the standard library), or mappings of names. Later sources win.
    """
    names: dict[str, Callable[..., Any]] = {}
    for source in sources:
        if isinstance(source, Mapping):
            names.update(source)
            continue
        for name in getattr(source, "__all__", vars(source)):
            value = getattr(source, name)
            if not name.startswith("_") and _is_constructor(value):
                names[name] = value
                # `to_text` writes the class's own name, which an import may have renamed.
                names.setdefault(value.__name__, value)
    return names


def _is_constructor(value: Any) -> bool:
    is_class = inspect.isclass(value) and dataclasses.is_dataclass(value)
    if not (is_class or inspect.isfunction(value)) or inspect.isabstract(value):
        return False
    return value.__module__.partition(".")[0] not in sys.stdlib_module_names


def to_text(value: Any, names: Names = NO_NAMES) -> str:
    """Writes a value as an expression from which `from_text` makes an equal value.

    Args:
      value: Literals, tuples, lists and dataclasses.
      names: Given for people: an object is written as a call of one of these functions, if one
        makes it, such as `ResNet18()` for `StagedResNet()`. Files keep the classes' names, and also
        state each `ranges.added_field` that is at its default.

    Raises:
      ConfigError: A part of it is neither a literal, a tuple nor a dataclass.
    """
    return _text(value, functools.partial(shortest_call, names=names))


def to_older_text(value: Any) -> str:
    """Writes a value as files older than its `ranges.added_field` hold it, for digests that stay.

    Such a field is stated where it differs from `before`, so `from_text(..., saved=True)` reads it.
    """
    return _text(value, lambda config: (type(config), dict(fields.changed_since(config))))


def _text(value: Any, call: Callable[[Any], Call]) -> str:
    """Writes a value as an expression in which `call` gives the calls that make the objects."""
    if fields.is_config(value):
        make, arguments = call(value)
        inner = ", ".join(f"{name}={_text(part, call)}" for name, part in arguments.items())
        return f"{make.__name__}({inner})"
    if type(value) in (tuple, list):
        inner = ", ".join(_text(part, call) for part in value)
        if type(value) is list:
            return f"[{inner}]"
        return f"({inner}{',' * (len(value) == 1)})"
    if value is None or type(value) in (bool, int, float, str):
        return repr(value)
    raise ConfigError(f"{shown(value)} can't be written as a config value")


def shortest_call(config: Any, names: Names) -> Call:
    """Returns the class or function that makes a config with the fewest arguments, and these.

    Where a function and the class need equally many, the function is taken: its name says more.
    Without names, the arguments are those that a config file states.
    """
    stated = fields.settings(config) if names else fields.written(config)
    shortest: Call = type(config), dict(stated)
    for make in names.values():
        # A function that needs other arguments, or sets one of these itself, raises an error.
        with contextlib.suppress(Exception):
            if inspect.isfunction(make) and fields.hints(make).get("return") is type(config):
                arguments = dict(fields.settings(config, make()))
                make(**arguments)
                if len(arguments) <= len(shortest[1]):
                    shortest = make, arguments
    return shortest


def from_text(text: str, names: Names, annotation: Any = Any, *, saved: bool = False) -> Any:
    """Reads an expression.

    Args:
      text: Such as "ResNet(width=16)"; a bare name is a call without arguments.
      names: Classes and functions that may be called, by name.
      annotation: Type of the value.
      saved: Whether `to_text` wrote it to a file: a `ranges.added_field` that it lacks then has the
        value that it had before, and otherwise its default.

    Raises:
      ConfigError: A syntax error, an unknown name, a wrong type, or a constructor's error.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"must have at most {_LONGEST} characters, got {len(text)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            body = ast.parse(text.strip(), mode="eval").body
    except (RecursionError, MemoryError) as error:
        raise ConfigError("nested too deeply") from error
    except (SyntaxError, ValueError) as error:
        quotes = "; put quotes around a path" if "/" in text else ""
        raise ConfigError(f"not an expression: {shown(text)}{quotes}") from error
    try:
        return _build(body, names, annotation, saved)
    except RecursionError as error:
        raise ConfigError("nested too deeply") from error


def _build(node: ast.expr, names: Names, annotation: Any, saved: bool) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return fit(value, annotation)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            if type(value) is not bool:
                return fit(-value, annotation)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            built = [
                _build(part, names, element(annotation, index), saved)
                for index, part in enumerate(parts)
            ]
            return fit(built if isinstance(node, ast.List) else tuple(built), annotation)
        case ast.Name(id=word):
            known = word in names and holds_objects(annotation)
            if takes_word(annotation) and not known:
                return fit(word, annotation)
            if not known and not holds_objects(annotation):
                raise ConfigError(f"must be {type_text(annotation)}, got {word}")
            return _call(word, [], {}, names, annotation, saved)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            return _call(name, args, {k.arg: k.value for k in keywords}, names, annotation, saved)
    raise ConfigError(
        f"{ast.unparse(node)[:80]} is not allowed here: use literals, tuples and calls of known "
        "names"
    )


def _call(
    name: str,
    args: list[ast.expr],
    keywords: Mapping[str | None, ast.expr],
    names: Names,
    annotation: Any,
    saved: bool,
) -> Any:
    choices = fitting(annotation, names)
    if name not in names:
        raise ConfigError(f"unknown name {name!r}.{suggestion(name, choices or names)}")
    make = names[name]
    hints = fields.hints(make) if isinstance(make, type) else {}
    order = [*parameters(make)] if isinstance(make, type) else []

    def part(node: ast.expr, parameter: str) -> Any:
        try:
            return _build(node, names, hints.get(parameter, Any), saved)
        except ConfigError as error:
            raise ConfigError(f"{name}.{parameter}: {error}") from error

    positional = [
        part(node, order[index] if index < len(order) else str(index))
        for index, node in enumerate(args)
    ]
    named = {key or "**": part(node, key or "**") for key, node in keywords.items()}
    if saved and dataclasses.is_dataclass(make):
        given = {*order[: len(args)], *named}
        named |= {key: value for key, value in fields.omitted(make) if key not in given}
    value = construct(name, make, positional, named, names)
    try:
        return fit(value, annotation)
    except ConfigError as error:
        more = f"; choose from {', '.join(choices)}" if choices else ""
        raise ConfigError(f"{error}{more}") from error


def called(text: str) -> set[str]:
    """Returns the names that an expression calls; none if it has a syntax error."""
    try:
        nodes = ast.walk(ast.parse(text, mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    calls = (node.func for node in nodes if isinstance(node, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}


def read(text: str, annotation: Any, names: Names) -> Any:
    """Reads a flag's text as `from_text` does; strings need no quotes, and booleans any case.

    Raises:
      ConfigError: The value has the wrong type for the annotation.
    """
    truth = {"true": True, "false": False}.get(text.lower())
    if truth is not None and bool in arms(annotation):
        return truth
    try:
        return from_text(text, names, annotation)
    except ConfigError as error:
        if takes_word(annotation):
            try:
                return fit(text, annotation)
            except ConfigError as refusal:
                words = [
                    a
                    for arm in arms(annotation)
                    if typing.get_origin(arm) is Literal
                    for a in typing.get_args(arm)
                    if isinstance(a, str)
                ]
                raise ConfigError(f"{refusal}.{suggestion(text, words)}") from error
        if holds_objects(annotation):
            raise
        hint = ""
        if takes_word(element(annotation, 0)):
            parts = (word.strip(" \"'()") for word in text.split(","))
            quoted = to_text(tuple(filter(None, parts))).replace("'", '"')
            hint = f"; write '{quoted}'"
        raise ConfigError(f"must be {type_text(annotation)}, got {shown(text)}{hint}") from error

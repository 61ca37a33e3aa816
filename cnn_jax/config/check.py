"""Checks config values against type annotations, which dataclasses themselves do not do."""

import collections.abc
import inspect
import math
import types
import typing
from typing import Annotated, Any, Literal, TypeVar, Union

from cnn_jax import ranges
from cnn_jax.config import fields
from cnn_jax.errors import ConfigError

_PLAIN = (bool, int, float, str, type(None))


def arms(annotation: Any) -> list[Any]:
    """Returns the members of a union without `Annotated`; any other annotation is one member."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return arms(typing.get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [arm for member in typing.get_args(annotation) for arm in arms(member)]
    if isinstance(annotation, TypeVar) or annotation is object:
        return [Any]
    return [type(None) if annotation is None else annotation]


def type_text(annotation: Any) -> str:
    """Formats an annotation: `float | None`, `'same' | 'valid'`, `tuple[int, ...]`."""
    return " | ".join(_arm_text(arm) for arm in arms(annotation))


def _arm_text(arm: Any) -> str:
    if arm is type(None):
        return "None"
    if arm is Any:
        return "any value"
    if typing.get_origin(arm) is Literal:
        return " | ".join(repr(value) for value in typing.get_args(arm))
    if typing.get_origin(arm) is tuple:
        inner = ("..." if a is ... else type_text(a) for a in typing.get_args(arm))
        return f"tuple[{', '.join(inner)}]"
    return getattr(arm, "__name__", str(arm))


def takes_word(annotation: Any) -> bool:
    """Whether the annotation accepts a string, so that a flag may give it without quotes."""
    return any(arm is str or typing.get_origin(arm) is Literal for arm in arms(annotation))


def holds_objects(annotation: Any) -> bool:
    """Whether the annotation accepts an object, so that a flag may give a constructor call."""
    for arm in arms(annotation):
        if typing.get_origin(arm) in (tuple, list, collections.abc.Sequence):
            if any(holds_objects(a) for a in typing.get_args(arm) or (Any,) if a is not ...):
                return True
        elif arm in (tuple, list) or (arm not in _PLAIN and typing.get_origin(arm) is not Literal):
            return True
    return False


def element(annotation: Any, index: int) -> Any:
    """Returns the annotation of a tuple's element, or Any if the annotation leaves it open."""
    for arm in arms(annotation):
        args = typing.get_args(arm)
        if typing.get_origin(arm) is tuple:
            if len(args) == 2 and args[1] is ...:
                return args[0]
            return args[index] if index < len(args) else Any
        if typing.get_origin(arm) in (list, collections.abc.Sequence):
            return args[0]
    return Any


def fit(value: Any, annotation: Any) -> Any:
    """Converts a value to its annotated type: an int becomes a float, a list a tuple.

    Raises:
      ConfigError: The value has another type, or is NaN or infinite: "must be float, got 'x'".
    """
    choices = arms(annotation)
    if not _finite(value):
        raise ConfigError(f"must be finite, got {shown(value)}")
    exact = [arm for arm in choices if arm is type(value)]
    for arm in exact or choices:
        fitted, result = _fit_arm(value, arm)
        if fitted:
            return result
    lone = not isinstance(value, tuple | list) and any(_takes_one(arm, value) for arm in choices)
    part = shown(value) if isinstance(value, _PLAIN) else f"{shown(value)}()"
    hint = f"; write ({part},)" if lone else ""
    raise ConfigError(f"must be {type_text(annotation)}, got {shown(value)}{hint}")


def _takes_one(arm: Any, value: Any) -> bool:
    """Whether an annotation accepts a tuple of this value alone."""
    if typing.get_origin(arm) is not tuple or typing.get_args(arm)[1:] not in ((), (...,)):
        return arm is tuple
    try:
        fit(value, typing.get_args(arm)[0])
    except ConfigError:
        return False
    return True


def _finite(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_finite(part) for part in value)
    return type(value) is not float or math.isfinite(value)


def _fit_arm(value: Any, arm: Any) -> tuple[bool, Any]:
    origin, args = typing.get_origin(arm), typing.get_args(arm)
    if arm is Any:
        return True, value
    if origin is Literal:
        return any(value == a and type(value) is type(a) for a in args), value
    if arm is float and type(value) is int:
        return abs(value) < 1e300, float(value) if abs(value) < 1e300 else value
    if arm in _PLAIN:
        return type(value) is arm, value
    if origin in (tuple, list, collections.abc.Sequence):
        if not isinstance(value, tuple | list):
            return False, value
        if origin is tuple and args[-1:] != (...,) and len(args) != len(value):
            return False, value
        parts = []
        for index, part in enumerate(value):
            try:
                parts.append(fit(part, element(arm, index)))
            except ConfigError as error:
                raise ConfigError(f"element {index} {error}") from error
        return True, list(parts) if origin is list else tuple(parts)
    kind = origin or arm
    if kind is tuple and isinstance(value, list):
        return True, tuple(value)
    if kind is collections.abc.Callable:
        return callable(value), value
    if getattr(kind, "_is_protocol", False):
        return _has_members(value, kind), value
    return not isinstance(kind, type) or isinstance(value, kind), value


def _has_members(value: Any, protocol: type) -> bool:
    missing = object()
    wanted = {
        name
        for base in protocol.__mro__
        if getattr(base, "_is_protocol", False) and base.__module__ != "typing"
        for name in (*vars(base), *inspect.get_annotations(base))
        if name == "__call__" or not name.startswith("_")
    }
    return all(inspect.getattr_static(value, name, missing) is not missing for name in wanted)


def is_plain(value: Any) -> bool:
    """Whether a value is a number, string, boolean or None, or a tuple of these."""
    return type(value) in _PLAIN or (
        isinstance(value, tuple) and all(is_plain(part) for part in value)
    )


def shown(value: Any) -> str:
    """Formats a value for an error message: shortened, and an object as the name of its class."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if not isinstance(value, (*_PLAIN, tuple, list)):
        return type(value).__name__
    if isinstance(value, tuple | list):
        inner = ", ".join(shown(part) for part in value)
        text = f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    else:
        try:
            text = repr(value)
        except ValueError:  # Python refuses to write an int of thousands of digits.
            text = "a huge int"
    return text if len(text) < 120 else f"{text[:110]} ..."


def check(config: Any, path: str = "config") -> None:
    """Checks every field of a config object, recursively, against its annotation.

    Args:
      config: A dataclass instance, such as a Flax linen module.
      path: Dotted name of the config in messages.

    Raises:
      ConfigError: A field is wrong: "config.model.width: must be int, got 2.5".
    """
    _check_recorded(type(config), path)
    hints = fields.hints(config.__class__)
    unset = {f.name for f in fields.config_fields(config)} - {n for n, _ in fields.written(config)}
    for field in fields.config_fields(config):
        value, where = getattr(config, field.name), f"{path}.{field.name}"
        try:
            fit(value, hints.get(field.name, Any))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        # A default is never written to config.json, so it may be anything (a dtype, an activation).
        if not _descend(value, where) and field.name not in unset:
            raise ConfigError(
                f"{where}: {shown(value)} can't be written to config.json: use numbers, strings, "
                "None, tuples and dataclasses"
            )
    try:
        ranges.check_fields(config)
    except ValueError as error:
        raise ConfigError(f"{path}.{error}") from error


def _check_recorded(cls: type, path: str) -> None:
    """Rejects a class whose settings are not dataclass fields: config.json would lack them."""
    own = vars(cls)
    if "__dataclass_fields__" in own:
        return
    if "__init__" in own or inspect.get_annotations(cls):
        raise ConfigError(
            f"{path}: {cls.__name__} is not itself a dataclass, so config.json would lack its "
            "settings: put @dataclasses.dataclass(frozen=True) above it"
        )


def _descend(value: Any, path: str) -> bool:
    """Checks the parts of a value; returns whether the value can be written as text."""
    if isinstance(value, tuple):
        return all([_descend(part, f"{path}.{index}") for index, part in enumerate(value)])
    if fields.is_config(value):
        check(value, path)
        return True
    return is_plain(value)

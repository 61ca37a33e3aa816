"""Calls the constructors that a config names, and explains failures in one line."""

import dataclasses
import inspect
import re
import traceback
import typing
from collections.abc import Callable, Mapping
from typing import Any

from cnn_jax.config import fields
from cnn_jax.config.check import arms, check, shown
from cnn_jax.config.spelling import suggestion
from cnn_jax.errors import ConfigError

Names = Mapping[str, Callable[..., Any]]


def parameters(make: Callable[..., Any]) -> list[str]:
    """Returns the keyword parameters of a constructor (class or function)."""
    if dataclasses.is_dataclass(make):
        return [field.name for field in fields.config_fields(make)]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in inspect.signature(make).parameters.values() if p.kind in kinds]


def explain(error: BaseException, names: Mapping[str, Any]) -> str:
    """Explains in one line why code that the user wrote or named has failed.

    Args:
      error: The exception.
      names: Known names, from which the nearest one is suggested.
    """
    text = str(error) or "no message"
    wrong = re.match(r"(\S+)\(\) got (an unexpected|multiple values for) .*argument '(\w+)'", text)
    if isinstance(error, TypeError) and wrong:
        owner = [part for part in wrong[1].split(".") if part != "__init__"][-1]
        # If a function such as ResNet18 made the call, it is what the user wrote, not its class.
        callers = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
        written = next((c for c in callers[::-1] if inspect.isfunction(names.get(c))), owner)
        if wrong[2] != "an unexpected":
            return f"{written} is given {wrong[3]!r} twice"
        known = names.get(owner)
        hint = suggestion(wrong[3], parameters(known)) if callable(known) else ""
        return f"{written} has no argument {wrong[3]!r}.{hint}"
    if isinstance(error, AttributeError) and error.name:
        public = [name for name in dir(error.obj) if not name.startswith("_")]
        return f"{text}.{suggestion(error.name, public)}" if public else text
    if isinstance(error, NameError) and error.name:
        return f"{text}.{suggestion(error.name, [n for n in names if not n.startswith('_')])}"
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def fitting(annotation: Any, names: Names) -> list[str]:
    """Returns the names whose values fit an annotation; empty if it names no class."""
    kinds = tuple(
        arm
        for arm in arms(annotation)
        if isinstance(arm, type) and not getattr(arm, "_is_protocol", False)
    )
    found = []
    for name, make in names.items():
        made: Any = make
        if not isinstance(make, type):
            try:
                made = typing.get_type_hints(make).get("return")
            except (NameError, TypeError):  # an annotation for type checkers only
                continue
        if isinstance(made, type) and issubclass(made, kinds):
            found.append(name)
    return sorted(found)


def construct(
    name: str, make: Callable[..., Any], args: list[Any], keywords: dict[str, Any], names: Names
) -> Any:
    """Calls a constructor with checked arguments.

    Raises:
      ConfigError: An argument is unknown, missing, of a wrong type, or rejected.
    """
    known = parameters(make)
    kinds = [parameter.kind for parameter in inspect.signature(make).parameters.values()]
    unknown = [key for key in keywords if key not in known]
    if unknown and (inspect.Parameter.VAR_KEYWORD not in kinds or "**" in unknown):
        raise ConfigError(f"{name} has no argument {unknown[0]!r}.{suggestion(unknown[0], known)}")
    try:
        bound = inspect.signature(make).bind_partial(*args, **keywords)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from error
    missing = [
        parameter.name
        for parameter in inspect.signature(make).parameters.values()
        if parameter.default is parameter.empty
        and parameter.name in known
        and parameter.name not in bound.arguments
    ]
    if missing:
        usage = ", ".join(f"{key}=..." for key in missing)
        raise ConfigError(f"{name} needs {', '.join(missing)}: write {name}({usage})")
    try:
        value = make(*args, **keywords)
    except Exception as error:  # the user's value was rejected
        reason = explain(error, names)
        named = reason.startswith(f"{name} ")
        raise ConfigError(reason if named else f"{name}: {reason}") from error
    if not fields.is_config(value):
        raise ConfigError(f"{name} makes {shown(value)}, not a config object")
    check(value, name)
    return value

"""Ranges of config fields, declared in their annotations: `rho: Positive[float] = 0.05`.

A `Checked` object checks its fields when it is made. Each range is also a function that checks
values given by name: `positive(rho=rho)`.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union

T = TypeVar("T")


class Range(NamedTuple):
    """A range of finite numbers.

    Attributes:
      wanted: The range in words, for messages: "from 0 to 1".
      holds: Whether a finite number is in the range.
      optional: Whether None is accepted too.
    """

    wanted: str
    holds: Callable[[Any], bool]
    optional: bool = False

    def __call__(self, **fields: Any) -> None:
        """Raises ValueError for a field that is out of range, or no finite number."""
        for name, value in fields.items():
            if value is None and self.optional:
                continue
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, got {value!r}")
            if not self.holds(value):
                raise ValueError(f"{name} must be {self.wanted}, got {value!r}")


def within(least: float, most: float) -> Range:
    """The range least <= x <= most, or None."""
    return Range(f"from {least} to {most}", lambda value: least <= value <= most, optional=True)


positive = Range("positive", lambda value: value > 0, optional=True)
non_negative = Range("at least 0", lambda value: value >= 0, optional=True)
fraction = Range("at least 0 and below 1", lambda value: 0 <= value < 1)
probability = Range("from 0 to 1", lambda value: 0 <= value <= 1)

Positive = Annotated[T, positive]
NonNegative = Annotated[T, non_negative]
Fraction = Annotated[T, fraction]
Probability = Annotated[T, probability]
Finite = Annotated[T, Range("finite", math.isfinite)]
# A value of a pixel's channel.
Pixel = Annotated[int, within(0, 255)]


def between(least: float, most: float, **fields: Any) -> None:
    """Raises ValueError for a field that is neither a number in least <= x <= most nor None."""
    within(least, most)(**fields)


def positives(**fields: Any) -> None:
    """Raises ValueError for a field that is not a tuple of finite numbers above 0."""
    for name, values in fields.items():
        _check(name, values, tuple[Positive[float], ...])


def one_of(choices: tuple[Any, ...], **fields: Any) -> None:
    """Raises ValueError for a field that is not one of the choices."""
    for name, value in fields.items():
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")


class Checked:
    """Base class of dataclasses whose fields must be in the ranges of their annotations."""

    def __post_init__(self) -> None:
        check_fields(self)


def check_fields(config: Any) -> None:
    """Raises ValueError if a field is out of range, or none of the values of its `Literal`."""
    for name, annotation in _annotations(config.__class__):
        _check(name, getattr(config, name), annotation)


@functools.cache
def _annotations(cls: Any) -> list[tuple[str, Any]]:
    """The annotations of a dataclass's fields, by name.

    A field that a base class has too appears twice: with another default, it keeps its range.
    """
    found: list[tuple[str, Any]] = []
    names = {field.name for field in dataclasses.fields(cls)}
    for base in reversed(cls.__mro__):
        try:
            hints = typing.get_type_hints(base, include_extras=True)
        except NameError:  # `config.check` reports it
            continue
        found += [
            (name, hints[name]) for name in vars(base).get("__annotations__", {}) if name in names
        ]
    return found


def _check(name: str, value: Any, annotation: Any) -> None:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        for extra in annotation.__metadata__:
            if isinstance(extra, Range):
                extra(**{name: value})
        _check(name, value, arguments[0])
    elif origin is Literal:
        one_of(arguments, **{name: value})
    elif origin in (Union, types.UnionType):
        arms = [arm for arm in arguments if arm is not type(None)]
        if value is not None and len(arms) == 1:
            _check(name, value, arms[0])
    elif origin is tuple and typing.get_origin(arguments[0]) is Annotated:
        if not isinstance(value, tuple):
            raise ValueError(f"{name} must be a tuple such as (32, 64), got {value!r}")
        for index, part in enumerate(value):
            _check(f"{name}[{index}]", part, arguments[0])

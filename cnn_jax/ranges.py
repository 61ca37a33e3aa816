"""Ranges of config fields, declared in their annotations: `rho: Positive[float] = 0.05`.

A `Checked` object checks its fields when it is made; `config.check` checks those of any other. Each
range is also a function that checks values given by name: `positive(rho=rho)`. `LocalPath` declares
a path, and `added_field` a field that older config files lack.
"""

import collections.abc
import dataclasses
import functools
import math
import os
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union

T = TypeVar("T")
_SEQUENCES = (tuple, list, collections.abc.Sequence)


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
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise ValueError(f"{name} must be a Python number, got {value!r}")
            if not -math.inf < value < math.inf:
                raise ValueError(f"{name} must be finite, got {value!r}")
            if not self.holds(value):
                raise ValueError(f"{name} must be {self.wanted}, got {value!r}")


def within(least: float, most: float) -> Range:
    """The range least <= x <= most, or None."""
    return Range(f"from {least} to {most}", lambda value: least <= value <= most, optional=True)


positive = Range("positive", lambda value: value > 0, optional=True)
non_negative = Range("at least 0", lambda value: value >= 0, optional=True)
fraction = Range("at least 0 and below 1", lambda value: 0 <= value < 1)
open_fraction = Range("above 0 and below 1", lambda value: 0 < value < 1)
probability = Range("from 0 to 1", lambda value: 0 <= value <= 1)

Positive = Annotated[T, positive]
NonNegative = Annotated[T, non_negative]
Fraction = Annotated[T, fraction]
OpenFraction = Annotated[T, open_fraction]
Probability = Annotated[T, probability]
Finite = Annotated[T, Range("finite", math.isfinite)]
# A value of a pixel's channel.
Pixel = Annotated[int, within(0, 255)]


# `Path("gs://bucket")` is "gs:/bucket": one slash is enough there. Windows' "C:/" is no scheme.
_URL = re.compile(r"\s*([A-Za-z][\w+.-]*)://")
_URL_AS_PATH = re.compile(r"([A-Za-z][\w+.-]+):/")
_INSTEAD_OF = {
    "file": "drop file://",
    **dict.fromkeys(("http", "https", "ftp"), "download it, and give its local path"),
}
_INSTEAD_OF_BUCKET = "mount the bucket as a folder, and give that folder"


class Local:
    """The rule that a string or path names a local file or folder; the mark of `LocalPath`."""

    def __call__(self, **fields: Any) -> None:
        """Raises ValueError for a field that is a URL: Python's file functions can't open it."""
        for name, value in fields.items():
            if isinstance(value, os.PathLike):
                url, shown = _URL_AS_PATH.match(os.fspath(value)), str(value)
            else:
                url, shown = _URL.match(value) if isinstance(value, str) else None, value
            if url:
                instead = _INSTEAD_OF.get(url[1].lower(), _INSTEAD_OF_BUCKET)
                raise ValueError(f"{name} must be a local path, got {shown!r}: {instead}")


local_path = Local()
# A file or folder on this machine: absolute, relative to the working directory, or with ~.
LocalPath = Annotated[str, local_path]

# The key of a field's metadata for the value that it has in config files without it.
BEFORE = "before"


def added_field(default: T, *, before: T) -> T:
    """Returns a dataclass field that was added, or got another default, after configs were saved.

    `config.to_text` always writes such a field to files, so a file without it is an older one, and
    `config.from_text(..., saved=True)` reads it as `before`. Recipes and flags get `default`.

    Args:
      default: The field's default.
      before: What a config file written before the change means.
    """
    # Type checkers see the default, as with `dataclasses.field`.
    return typing.cast(T, dataclasses.field(default=default, metadata={BEFORE: before}))


def positives(**fields: Any) -> None:
    """Raises ValueError for a field that is not a tuple of finite numbers above 0."""
    for name, values in fields.items():
        _check(name, values, tuple[Positive[float], ...])


class Checked:
    """Base class of dataclasses whose fields must be in the ranges of their annotations."""

    def __post_init__(self) -> None:
        check_fields(self)


def check_fields(config: Any) -> None:
    """Raises ValueError if a field is out of range, or none of the values of its `Literal`."""
    for name, annotation in declared(config.__class__).items():
        _check(name, getattr(config, name), annotation)


@functools.cache
def declared(cls: Any) -> dict[str, Any]:
    """The annotations that declare a range, by name of a field that `__init__` takes.

    A subclass that annotates a field with a type alone, to change its default, keeps the range.
    """
    found: dict[str, Any] = {}
    names = {field.name for field in dataclasses.fields(cls) if field.init}
    for base in reversed(cls.__mro__):
        try:
            hints = typing.get_type_hints(base, include_extras=True)
        except Exception:  # `config.check` reports an annotation that can't be resolved
            continue
        own = names & set(vars(base).get("__annotations__", {}))
        found |= {name: hints[name] for name in own if _declares(hints[name])}
    return found


def _declares(annotation: Any) -> bool:
    """Whether an annotation restricts values, or parts of them, beyond their type."""
    if typing.get_origin(annotation) is Literal:
        return True
    extras = getattr(annotation, "__metadata__", ())
    arguments = typing.get_args(annotation)
    return any(isinstance(extra, Range | Local) for extra in extras) or any(
        map(_declares, arguments)
    )


def _check(name: str, value: Any, annotation: Any) -> None:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        for extra in annotation.__metadata__:
            if isinstance(extra, Range | Local):
                extra(**{name: value})
        _check(name, value, arguments[0])
    elif origin is Literal:
        if value not in arguments:
            choices = ", ".join(map(str, arguments))
            raise ValueError(f"{name} must be one of {choices}, got {value!r}")
    elif origin in (Union, types.UnionType):
        _check_union(name, value, arguments)
    elif origin in _SEQUENCES and _declares(annotation):
        if not isinstance(value, tuple if origin is tuple else (tuple, list)):
            raise ValueError(f"{name} must be a tuple such as (32, 64), got {value!r}")
        same = origin is not tuple or arguments[1:] == (...,)
        kinds = arguments[:1] * len(value) if same else arguments
        for index, (part, kind) in enumerate(zip(value, kinds, strict=False)):
            _check(f"{name}[{index}]", part, kind)


def _check_union(name: str, value: Any, arms: tuple[Any, ...]) -> None:
    """Checks a value as those arms whose type it has: one of them must accept it."""
    if value is None and type(None) in arms:
        return
    arms = tuple(arm for arm in arms if arm is not type(None))
    errors = []
    for arm in arms if len(arms) == 1 else [arm for arm in arms if _could_be(value, arm)]:
        try:
            return _check(name, value, arm)
        except ValueError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _could_be(value: Any, annotation: Any) -> bool:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _could_be(value, arguments[0])
    if origin is Literal:
        return value in arguments
    kind = origin or annotation
    return not isinstance(kind, type) or isinstance(value, (int, float) if kind is float else kind)

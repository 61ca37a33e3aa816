"""Range checks for config fields. Each raises a ValueError of one line that names the field."""

import math
from collections.abc import Callable
from typing import Any


def _require(
    fields: dict[str, Any], wanted: str, holds: Callable[[Any], bool], optional: bool = False
) -> None:
    for name, value in fields.items():
        if value is None and optional:
            continue
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {value!r}")
        if not holds(value):
            raise ValueError(f"{name} must be {wanted}, got {value!r}")


def positive(**fields) -> None:
    """Raises ValueError for a field that is neither a finite number above 0 nor None."""
    _require(fields, "positive", lambda value: value > 0, optional=True)


def non_negative(**fields) -> None:
    """Raises ValueError for a field that is neither a finite number of at least 0 nor None."""
    _require(fields, "at least 0", lambda value: value >= 0, optional=True)


def fraction(**fields) -> None:
    """Raises ValueError for a field that is not a number in 0 <= x < 1."""
    _require(fields, "at least 0 and below 1", lambda value: 0 <= value < 1)


def probability(**fields) -> None:
    """Raises ValueError for a field that is not a number in 0 <= x <= 1."""
    _require(fields, "from 0 to 1", lambda value: 0 <= value <= 1)


def between(least: float, most: float, **fields) -> None:
    """Raises ValueError for a field that is neither a number in least <= x <= most nor None."""
    _require(fields, f"from {least} to {most}", lambda value: least <= value <= most, optional=True)


def positives(**fields) -> None:
    """Raises ValueError for a field that is not a tuple of finite numbers above 0."""
    for name, values in fields.items():
        if not isinstance(values, tuple):
            raise ValueError(f"{name} must be a tuple such as (32, 64), got {values!r}")
        positive(**{f"{name}[{index}]": value for index, value in enumerate(values)})


def finite(**fields) -> None:
    """Raises ValueError for a field that is neither a tuple of finite numbers nor None."""
    for name, values in fields.items():
        numbers = {f"{name}[{index}]": value for index, value in enumerate(values or ())}
        _require(numbers, "finite", math.isfinite)


def one_of(choices: tuple, **fields) -> None:
    """Raises ValueError for a field that is not one of the choices."""
    for name, value in fields.items():
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")

"""Range checks for the fields of configs: one line that names the field."""

from __future__ import annotations

import math


def _number(name: str, value) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")


def positive(**fields) -> None:
    """Raises ValueError for a field that is not a finite number above 0 (None is let through)."""
    for name, value in fields.items():
        if value is None:
            continue
        _number(name, value)
        if value <= 0:
            raise ValueError(f"{name} must be positive, got {value!r}")


def non_negative(**fields) -> None:
    """Raises ValueError for a field that is not a finite number of at least 0 (None passes)."""
    for name, value in fields.items():
        if value is None:
            continue
        _number(name, value)
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value!r}")


def fraction(**fields) -> None:
    """Raises ValueError for a field outside 0 <= x < 1."""
    for name, value in fields.items():
        _number(name, value)
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {value!r}")


def probability(**fields) -> None:
    """Raises ValueError for a field outside 0 <= x <= 1."""
    for name, value in fields.items():
        _number(name, value)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {value!r}")


def positives(**fields) -> None:
    """Raises ValueError for a field that is not a tuple of numbers above 0."""
    for name, values in fields.items():
        if not isinstance(values, tuple):
            raise ValueError(f"{name} must be a tuple such as (32, 64), got {values!r}")
        for place, value in enumerate(values):
            positive(**{f"{name}[{place}]": value})


def finite(**fields) -> None:
    """Raises ValueError for a field that is not a tuple of finite numbers (None passes)."""
    for name, values in fields.items():
        for place, value in enumerate(values or ()):
            _number(f"{name}[{place}]", value)


def one_of(choices: tuple[str, ...], **fields) -> None:
    """Raises ValueError for a field that is none of the choices."""
    for name, value in fields.items():
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")

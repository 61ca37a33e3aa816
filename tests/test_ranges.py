"""A field's range is declared in its annotation and checked when the object is made."""

import dataclasses
from typing import Annotated, Literal

import pytest

from cnn_jax.ranges import (
    Checked,
    Finite,
    Fraction,
    NonNegative,
    Pixel,
    Positive,
    Probability,
    one_of,
    positive,
    within,
)


@dataclasses.dataclass(frozen=True)
class Settings(Checked):
    rate: Positive[float] = 0.1
    limit: Positive[float | None] = None
    delay: NonNegative[int] = 0
    momentum: Fraction[float] = 0.9
    share: Positive[Probability[float]] = 1.0
    size: Annotated[int, within(2, 4)] = 2
    color: tuple[Pixel, ...] = (0, 255)
    mean: tuple[Finite[float], ...] | None = None
    mode: Literal["fast", "slow"] = "fast"


@dataclasses.dataclass(frozen=True)
class Faster(Settings):
    """Gives a field another default, and leaves its range to the base class."""

    rate: float = 0.5


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("rate", 0, "positive"),
        ("rate", float("nan"), "a finite number"),
        ("rate", float("inf"), "a finite number"),
        ("rate", "fast", "a finite number"),
        ("rate", True, "a finite number"),
        ("limit", -1.0, "positive"),
        ("delay", -1, "at least 0"),
        ("momentum", 1.0, "at least 0 and below 1"),
        ("momentum", None, "a finite number"),
        ("share", 0.0, "positive"),
        ("share", 1.5, "from 0 to 1"),
        ("size", 5, "from 2 to 4"),
        ("color", 3, r"a tuple such as \(32, 64\)"),
        ("mode", "quick", "one of fast, slow"),
    ],
)
@pytest.mark.parametrize("cls", [Settings, Faster])
def test_a_field_out_of_range_is_named(cls, field, value, wanted):
    with pytest.raises(ValueError, match=f"^{field} must be {wanted}, got "):
        cls(**{field: value})


@pytest.mark.parametrize(
    ("field", "values", "name"),
    [("color", (0, 256), r"color\[1\]"), ("mean", (float("nan"),), r"mean\[0\]")],
)
def test_an_element_out_of_range_is_named(field, values, name):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        Settings(**{field: values})


def test_the_ends_of_ranges_are_in_them():
    Settings(delay=0, momentum=0.0, share=1.0, size=4, color=(), mean=(-1e30,), mode="slow")


def test_a_range_checks_values_by_name():
    positive(width=1, depth=None)
    with pytest.raises(ValueError, match=r"^depth must be positive, got 0$"):
        positive(width=1, depth=0)
    with pytest.raises(ValueError, match=r"^side must be one of left, right, got 'up'$"):
        one_of(("left", "right"), side="up")

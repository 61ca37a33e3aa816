"""A field's range is declared in its annotation and checked when the object is made."""

import dataclasses
from typing import Annotated, Literal

import pytest

from cnn_jax import config
from cnn_jax.config import ConfigError
from cnn_jax.ranges import (
    Checked,
    Finite,
    Fraction,
    NonNegative,
    Pixel,
    Positive,
    Probability,
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
    pair: tuple[Fraction[float], Positive[int]] = (0.1, 2)
    rows: tuple[tuple[Positive[int], ...], ...] = ((1, 2),)
    each: Positive[int] | tuple[Positive[int], ...] | Literal["auto"] | None = "auto"
    none: tuple[()] = ()
    twice: float = dataclasses.field(init=False)

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "twice", 2 * self.rate)


@dataclasses.dataclass(frozen=True)
class Faster(Settings):
    """Gives a field another default, and leaves its range to the base class."""

    rate: float = 0.5


@dataclasses.dataclass(frozen=True)
class Wider(Settings):
    """Gives two fields other ranges."""

    momentum: NonNegative[float] = 2.0
    mode: Literal["fast", "slow", "still"] = "still"


@dataclasses.dataclass(frozen=True)
class Plain:
    """Has no base class; `config.check` checks it."""

    width: Positive[int] = 1


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("rate", 0, "positive"),
        ("rate", float("nan"), "finite"),
        ("rate", float("inf"), "finite"),
        ("rate", "fast", "a Python number"),
        ("rate", True, "a Python number"),
        ("limit", -1.0, "positive"),
        ("delay", -1, "at least 0"),
        ("momentum", 1.0, "at least 0 and below 1"),
        ("momentum", None, "a Python number"),
        ("share", 0.0, "positive"),
        ("share", 1.5, "from 0 to 1"),
        ("size", 5, "from 2 to 4"),
        ("color", 3, r"a tuple such as \(32, 64\)"),
        ("mode", "quick", "one of fast, slow"),
        ("each", 0, "positive"),
    ],
)
@pytest.mark.parametrize("cls", [Settings, Faster])
def test_a_field_out_of_range_is_named(cls, field, value, wanted):
    with pytest.raises(ValueError, match=f"^{field} must be {wanted}, got "):
        cls(**{field: value})


@pytest.mark.parametrize(
    ("field", "values", "name"),
    [
        ("color", (0, 256), r"color\[1\]"),
        ("mean", (float("nan"),), r"mean\[0\]"),
        ("pair", (0.5, 0), r"pair\[1\]"),
        ("pair", (1.0, 1), r"pair\[0\]"),
        ("rows", ((1, 2), (3, 0)), r"rows\[1\]\[1\]"),
        ("each", (1, -1), r"each\[1\]"),
    ],
)
def test_an_element_out_of_range_is_named(field, values, name):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        Settings(**{field: values})


def test_the_ends_of_ranges_are_in_them():
    Settings(delay=0, momentum=0.0, share=1.0, size=4, color=(), mean=(-1e30,), mode="slow")
    for each in (1, (1, 2), "auto", None):
        Settings(each=each)


def test_a_subclass_may_declare_another_range():
    assert Wider().momentum == 2.0
    with pytest.raises(ValueError, match=r"^momentum must be at least 0, got -1.0$"):
        Wider(momentum=-1.0)


def test_the_config_s_check_knows_the_ranges_of_any_dataclass():
    config.check(Plain(width=1))
    with pytest.raises(ConfigError, match=r"^config.width must be positive, got -3$"):
        config.check(Plain(width=-3))


def test_a_range_checks_values_by_name():
    positive(width=1, depth=None)
    with pytest.raises(ValueError, match=r"^depth must be positive, got 0$"):
        positive(width=1, depth=0)

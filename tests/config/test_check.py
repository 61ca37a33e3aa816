from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from cnn_jax import config

from .toys import BASE, SGD, Crop, Flip, ResNet, Wrapper


@dataclass(frozen=True)
class Leaf:
    number: float = 1.0
    count: int = 1
    switch: bool = False
    word: str = "a"
    choice: Literal["a", 2, None] = "a"
    maybe: int | None = None
    pair: tuple[int, float] = (1, 2.0)
    many: tuple[int | None, ...] = ()
    bare: tuple = ()
    anything: Any = None
    call: Callable[[int], int] | None = abs


GOOD = [
    ("number", 2), ("number", -0.5), ("count", -3), ("switch", True), ("choice", 2),
    ("choice", None), ("maybe", 4), ("pair", (3, 4)), ("many", (1, None, 2)), ("bare", (1, "x")),
    ("anything", Flip()), ("call", None),
]  # fmt: skip
BAD = [
    ("number", True), ("number", "1"), ("number", float("nan")), ("number", float("-inf")),
    ("number", None), ("number", 10**400), ("count", 2.0), ("count", True), ("count", "1"),
    ("switch", 1), ("switch", "true"), ("word", 3), ("word", None), ("choice", "b"),
    ("choice", True), ("choice", 2.0), ("maybe", 1.5), ("maybe", False), ("pair", (1,)),
    ("pair", (1, 2, 3)), ("pair", (1.5, 2)), ("pair", [1, 2]), ("many", (1, 2.5)), ("many", 3),
    ("many", (True,)), ("bare", 4), ("anything", float("inf")), ("anything", (float("nan"),)),
    ("anything", [1]), ("anything", {1: 2}), ("anything", int), ("call", len),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_accepts(field, value):
    config.check(replace(Leaf(), **{field: value}))


@pytest.mark.parametrize(("field", "value"), BAD)
def test_refuses_naming_the_field(field, value):
    with pytest.raises(config.ConfigError) as caught:
        config.check(replace(Leaf(), **{field: value}))
    assert str(caught.value).startswith(f"config.{field}: ")
    assert "\n" not in str(caught.value)


def test_the_defaults_pass_whatever_they_are():
    config.check(Leaf())
    config.check(BASE)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (replace(BASE, model=ResNet(width=2.5)), "config.model.width: must be int, got 2.5"),
        (replace(BASE, model=Wrapper(ResNet(depth="8"))), "config.model.inner.depth: must be int"),
        (replace(BASE, augment=(Flip(), Crop(None))), "config.augment.1.padding: must be int"),
        (replace(BASE, augment=(Flip(), SGD(1.0))), "config.augment: element 1 must be Augment"),
        (replace(BASE, augment=Flip()), "must be tuple[Augment, ...], got Flip; write (Flip(),)"),
        (replace(BASE, loss=Flip()), "config.loss: must be Loss, got Flip"),
        (replace(BASE, optimizer=SGD), "config.optimizer: must be Optimizer, got the class SGD"),
    ],
)
def test_reaches_every_depth(bad, message):
    with pytest.raises(config.ConfigError) as caught:
        config.check(bad)
    assert message in str(caught.value)


@dataclass(frozen=True)
class Base:
    pass


class NoFields(Base):
    pass


class OwnInit(Base):
    def __init__(self, times):
        object.__setattr__(self, "times", times)


class Undecorated(Base):
    times: float = 2.0


def test_settings_that_are_no_fields_are_refused():
    """They would be in no record, and two experiments would seem to be one."""

    @dataclass(frozen=True)
    class Holder:
        part: Base

    config.check(Holder(NoFields()))
    for part in (OwnInit(3), Undecorated()):
        with pytest.raises(config.ConfigError, match=r"config\.part: .* is not itself a dataclass"):
            config.check(Holder(part))

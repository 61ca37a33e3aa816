"""FirstAvailable takes the first that can be had, and says why not the others."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cnn_jax.data import DataInvalid, DataUnavailable, FirstAvailable, Shapes


@dataclass(frozen=True)
class Failing:
    """A data set that cannot be had."""

    error: Exception

    def resolve(self, data_dir=None):
        raise self.error

    def load(self, data_dir=None):
        raise self.error


SMALL = Shapes(train=10, validation=0, test=10)


def test_the_first_comes_without_a_note():
    assert FirstAvailable((SMALL, Failing(DataUnavailable("no")))).resolve() == (SMALL, "")


def test_the_note_holds_the_reasons():
    choices = (Failing(DataUnavailable("no disk")), Failing(DataUnavailable("no line")), SMALL)
    config, note = FirstAvailable(choices).resolve("somewhere")
    assert config is SMALL
    assert note == "Using Shapes: no disk; no line"
    assert FirstAvailable(choices).load().name == "shapes"


def test_none_to_be_had():
    choices = (Failing(DataUnavailable("no disk")), Failing(DataUnavailable("no line")))
    with pytest.raises(DataUnavailable, match="no disk; no line"):
        FirstAvailable(choices).load()


def test_damaged_data_is_not_passed_over():
    with pytest.raises(DataInvalid, match="rotten"):
        FirstAvailable((Failing(DataInvalid("rotten")), SMALL)).resolve()


def test_choices_within_choices():
    inner = FirstAvailable((Failing(DataUnavailable("b")), SMALL))
    config, note = FirstAvailable((Failing(DataUnavailable("a")), inner)).resolve()
    assert config is SMALL
    assert note == "Using Shapes: a; Using Shapes: b"


@pytest.mark.parametrize("choices", [(), (SMALL, "cifar10")])
def test_bad_choices(choices):
    with pytest.raises(ValueError, match=r"^choices"):
        FirstAvailable(choices)

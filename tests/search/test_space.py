"""The space of a search, as text."""

from __future__ import annotations

import pytest

from cnn_jax.errors import UserError
from cnn_jax.search.space import Axis, space


def test_each_kind_of_axis():
    text = "optimizer.peak_lr=log(1e-3, 1); a = uniform(-0.5,0.5);n=int(1,8); m=choice(A(b=2),B,16)"
    assert space(text) == {
        "optimizer.peak_lr": Axis("log", 1e-3, 1),
        "a": Axis("uniform", -0.5, 0.5),
        "n": Axis("int", 1, 8),
        "m": Axis("choice", choices=("A(b=2)", "B", "16")),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name fields"),
        ("a", "must have the form"),
        ("=log(1,2)", "must have the form"),
        ("a=log(1,2", "must have the form"),
        ("a=log(1)", "must have the form"),
        ("a=log(x,2)", "must have the form"),
        ("a=log('1','2')", "must have the form"),
        ("a=int(1,2.5)", "must have the form"),
        ("a=normal(0,1)", "must have the form"),
        ("a=choice()", "must have the form"),
        ("a=3", "must have the form"),
        ("a=uniform(2,1)", "must go up"),
        ("a=log(0,1)", "must go up, from above 0"),
        ("a=int(1,2); a=int(3,4)", "repeats a field"),
    ],
)
def test_mistakes_are_one_line(text, message):
    with pytest.raises(UserError, match=message) as caught:
        space(text)
    assert "\n" not in str(caught.value)

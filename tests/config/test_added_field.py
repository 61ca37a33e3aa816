"""A field added after configs were saved: old files keep its old meaning, new ones state it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from cnn_jax import config
from cnn_jax.ranges import Checked, added_field


@dataclass(frozen=True)
class Photos(Checked):
    path: str = "photos"
    decode: Literal["draft", "full"] = added_field("draft", before="full")


@dataclass(frozen=True)
class Both:
    choices: tuple[Photos, ...] = (Photos("a"), Photos("b"))
    best: Photos | None = None


@dataclass(frozen=True)
class Training:
    data: Photos | Both = Photos()
    epochs: int = 1


NAMES = {make.__name__: make for make in (Photos, Both, Training)}
TRAININGS = [
    Training(),
    Training(epochs=2),
    Training(Photos(decode="full")),
    Training(Photos("elsewhere")),
    Training(Both()),
    Training(Both((Photos("c", "full"), Photos("d")), best=Photos(decode="full"))),
]


def read(text, **options):
    return config.from_text(text, NAMES, **options)


def test_a_file_states_the_field_even_at_its_default():
    assert config.to_text(Photos()) == "Photos(decode='draft')"
    assert config.to_text(Training()) == "Training(data=Photos(decode='draft'))"
    assert "path='b', decode='draft'" in config.to_text(Training(Both()))


@pytest.mark.parametrize("training", TRAININGS)
def test_what_a_file_states_reads_back_equal_as_saved_or_not(training):
    text = config.to_text(training)
    assert read(text, saved=True) == read(text) == training
    assert config.to_text(read(text, saved=True)) == text
    config.check(training)


@pytest.mark.parametrize(
    ("text", "decodes"),
    [
        ("Photos('x')", {"full"}),
        ("Photos('x', 'draft')", {"draft"}),
        ("Photos('x', decode='draft')", {"draft"}),
        ("Photos", {"full"}),
        ("Training()", {"full"}),
        ("Training(epochs=2, data=Photos(path='x'))", {"full"}),
        ("Training(data=Both())", {"full"}),
        (
            "Training(data=Both(choices=(Photos(),), best=Photos(decode='draft')))",
            {"full", "draft"},
        ),
    ],
)
def test_an_old_file_means_what_it_meant(text, decodes):
    def found(value):
        if isinstance(value, Photos):
            return {value.decode}
        parts = value if isinstance(value, tuple) else vars(value).values()
        return set().union(*(found(part) for part in parts if not isinstance(part, int | None)))

    assert found(read(text, saved=True)) == decodes
    assert found(read(text)) == {"draft"}  # of a recipe or a flag


def test_the_text_for_digests_is_that_of_files_older_than_the_field():
    for old in ("Training()", "Training(data=Photos(path='x'))", "Training(data=Both())"):
        assert config.to_older_text(read(old, saved=True)) == old
    for training in TRAININGS:
        assert read(config.to_older_text(training), saved=True) == training
    assert config.to_older_text(Photos("x")) == "Photos(path='x', decode='draft')"


def test_flags_and_recipes_get_the_new_default():
    old = Training(Photos("x", decode="full"))
    new = config.override(old, ["--config.data=Photos(path='y')"], NAMES)
    assert new.config.data == Photos("y", decode="draft")
    assert new.notes == [
        "--config.data=Photos(path='y') discards the settings of Photos(decode='full')"
    ]
    again = config.override(Training(), ["--config.data=Photos(path='y')"], NAMES)
    assert again.notes == []  # nothing but defaults is lost


@pytest.mark.parametrize("training", TRAININGS)
def test_a_printed_recipe_that_runs_gives_the_same(training):
    scope = {}
    exec(config.to_recipe(training, names=NAMES), scope)
    assert scope["experiment"] == training


def test_for_people_a_default_is_left_out():
    assert config.to_text(Training(), NAMES) == "Training()"
    assert config.to_pretty(Training(epochs=3), names=NAMES) == "Training(epochs=3)"
    assert config.diff(Training(Photos(decode="full")), Training(), NAMES) == [
        "data.decode: 'full' -> 'draft'"
    ]

"""Shortened names are short, and differ where the names do."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from rich.cells import cell_len

from cnn_jax.report.names import shorten
from cnn_jax.report.predictions import short_names

PHOTOS = [f"holiday_photo_from_the_beach_{number:04d}.png" for number in (1, 2, 11, 21, 121)]
MIDDLE = [f"experiment_{letter}_with_a_very_long_common_ending" for letter in "ABC"]
CAMERA = [f"IMG_2024{number:04d}_edited_final_version.jpeg" for number in range(9, 14)]


@pytest.mark.parametrize("names", [PHOTOS, MIDDLE, CAMERA, [*PHOTOS, *MIDDLE, *CAMERA]])
@pytest.mark.parametrize("most", [9, 14, 18])
def test_different_names_stay_different(names, most):
    short = shorten(names, most)
    assert len(set(short)) == len(names)
    assert max(map(len, short)) <= most
    assert not any("(" in text for text in short)  # numbers are the last resort


def test_names_that_fit_are_unchanged():
    names = ["cat", "dog", "a name", "an even longer name"]
    assert shorten(names, 19) == names
    assert shorten(names, 18)[:3] == names[:3]


def test_the_end_of_a_file_is_kept_and_a_header_begins_as_its_class():
    assert shorten(PHOTOS, 18)[2:4] == ["holiday_...011.png", "holiday_...021.png"]
    assert shorten(["a very long name of a class"], 14) == ["a very...class"]
    assert shorten(["aeroplane", "automobile"], 5) == ["aerop", "autom"]
    assert shorten([f"class {number}" for number in (1, 2, 12)], 5) == ["cla.1", "cl. 2", "cl.12"]
    assert shorten(MIDDLE, 14) == ["...A_w...nding", "...B_w...nding", "...C_w...nding"]


def test_names_without_room_for_their_difference_are_numbered():
    assert shorten(["x" * 30, "x" * 31], 14) == ["x" * 11 + "(1)", "x" * 11 + "(2)"]


def test_equal_names_are_numbered_only_if_they_stand_for_different_things():
    assert shorten(["?.png", "?.png", "b"], 18) == ["?.png", "?.png", "b"]
    assert shorten(["?.png", "?.png", "b"], 18, [1, 2, 3]) == ["?.png(1)", "?.png(2)", "b"]


def test_a_chinese_character_fills_two_columns():
    names = ["\u4e2d" * 10 + last for last in "\u4e00\u4e8c"]
    short = shorten(names, 14)
    assert len(set(short)) == 2 and max(map(cell_len, short)) <= 14


def test_random_names_of_few_letters():
    generator = random.Random(0)
    for _ in range(300):
        count, most = generator.randint(1, 12), generator.randint(4, 20)
        names = ["".join(generator.choices("ab", k=generator.randint(0, 25))) for _ in range(count)]
        short = shorten(names, most)
        assert max(map(len, short)) <= most
        for one, other in itertools.combinations(range(count), 2):
            assert (names[one] == names[other]) is (short[one] == short[other])


def test_files_have_different_names_in_captions():
    short = short_names([Path("photos") / name for name in PHOTOS])
    assert len(set(short)) == len(PHOTOS) and max(map(len, short)) <= 18
    assert short_names([Path("cats/0.png"), Path("dogs/0.png")]) == ["cats/0.png", "dogs/0.png"]
    # Equal with their folders, or once unprintable characters are replaced.
    assert len(set(short_names([Path("a/x/0.png"), Path("b/x/0.png")]))) == 2
    assert len(set(short_names([Path("a\n.png"), Path("a\t.png")]))) == 2

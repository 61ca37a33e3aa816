"""Tables for the terminal."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from cnn_jax.report import tables


def test_names_are_printed_as_they_are():
    """A string would be taken for rich's markup, and a class called [red] would vanish."""
    console = Console(file=io.StringIO(), width=100)
    console.print(tables.confusion(np.eye(2, dtype=int), ("[red]", "[/b]")))
    printed = console.file.getvalue().splitlines()
    assert "[red]" in printed[1] and "[/b]" in printed[1]
    assert [line.split()[0] for line in printed if "100.0%" in line] == ["[red]", "[/b]"]


def printed(table, width=tables.WIDTH):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return [line.strip() for line in console.file.getvalue().splitlines() if line.strip()]


def measures(counts):
    """Precision, recall and F1 of each class, as in `Evaluation`."""
    right = counts.diagonal()
    with np.errstate(invalid="ignore"):
        sums = counts.sum(0), counts.sum(1), (counts.sum(0) + counts.sum(1)) / 2
        return [right / total for total in sums]


def classes_and_errors(number, errors=()):
    counts = 50 * np.eye(number, dtype=int)
    for true, predicted, images in errors:
        counts[true, predicted] = images
    return counts, [f"class {chr(97 + n % 26)}{n}" for n in range(number)]


def test_a_few_classes_have_longer_heads():
    names = ("a very long name", "another long name", "cat")
    head = printed(tables.confusion(np.eye(3, dtype=int), names))[0]
    assert names[0] in head and names[1] in head


def test_heads_and_rows_of_different_classes_differ():
    names = [f"superclass_{number}_of_things" for number in range(12)]
    lines = printed(tables.confusion(np.full((12, 12), 100), names))
    heads = lines[0].split()[3:]
    assert len(set(heads)) == 12 and max(map(len, heads)) <= 5
    assert len({line.split()[0] for line in lines[2:]}) == 12
    assert "\u2026" not in "".join(lines)  # rich cuts what does not fit


@pytest.mark.parametrize(
    ("number", "each"), [(2, 9), (10, 9), (10, 1000), (12, 999), (12, 1000), (13, 9)]
)
@pytest.mark.parametrize("form", ["{}", "class_{}", "class_{}_" + 50 * "x", 50 * "x" + "_{}"])
def test_no_table_is_wider_than_a_line(number, each, form):
    counts = each * np.eye(number, dtype=int)
    names = [form.format(chr(97 + n)) for n in range(number)]
    for table in (
        tables.confusion(counts, names),
        tables.per_class(names, counts, *measures(counts)),
    ):
        lines = printed(table)
        assert max(map(len, lines)) <= 110 and "\u2026" not in "".join(lines)
        assert len({line.split()[0] for line in lines[2 : 2 + number]}) == number


def test_a_class_without_images_has_no_accuracy():
    """Two of class a, one of them taken for b; none of b."""
    counts = np.array([[1, 1], [0, 0]])
    precision, recall, f1 = np.array([1, 0]), np.array([0.5, np.nan]), np.array([2 / 3, 0])
    made = (
        tables.confusion(counts, ("a", "b")),
        tables.per_class(("a", "b"), counts, precision, recall, f1),
    )
    rows = [line.split() for table in made for line in printed(table)]
    assert ["a", "50.0%", "1", "1"] in rows and ["b", ".", ".", "."] in rows
    assert ["b", "0", "0.0%", ".", "0.0%"] in rows
    assert ["mean", "of", "classes", "with", "images", "100.0%", "50.0%", "66.7%"] in rows


def test_means_are_over_the_same_classes():
    """A net that always says cat; as scikit-learn's macro average with zero_division=0."""
    counts = np.array([[1000, 0, 0], [50, 0, 0], [10, 0, 0]])
    names = ("cat", "dog", "bird")
    lines = printed(tables.per_class(names, counts, *measures(counts)))
    precision = 1000 / 1060
    f1 = 2 * precision / (precision + 1)
    mean = ["31.4%", "33.3%", f"{f1 / 3:.1%}"]
    assert [f"{precision / 3:.1%}", f"{1 / 3:.1%}"] == mean[:2]
    assert ["mean", "of", "classes", *mean] in [line.split() for line in lines]
    assert ["dog", "50", ".", "0.0%", "0.0%"] in [line.split() for line in lines]
    assert "counts as 0 in the mean" in " ".join(lines[-2:])
    # A class without images changes none of the means, even if it is predicted.
    counts = np.pad(counts, ((0, 1), (0, 1)))
    lines = printed(tables.per_class((*names, "fish"), counts, *measures(counts)))
    assert [line.split()[-3:] for line in lines if line.startswith("mean")] == [mean]
    assert "counts" not in printed(tables.per_class(["a"], np.eye(1), *measures(np.eye(1))))[-1]


def test_classes_have_numbers_where_the_figure_has_no_names():
    for number, numbered in ((30, False), (31, True), (100, True)):
        counts, names = classes_and_errors(number, [(3, 7, 8), (3, 9, 2)])
        shown = [f"#{n} {name}" for n, name in enumerate(names)] if numbered else names
        lines = printed(tables.per_class(names, counts, *measures(counts)))
        assert [line.partition("  ")[0] for line in lines[2:]] == [*shown, "mean of classes"]
        lines = printed(tables.confusion(counts, names))
        assert [line.partition("  ")[0] for line in lines[2:]] == shown
        assert [shown[3], "83.3%", shown[7], "8"] == re.split(r"\s{2,}", lines[2 + 3])


def test_classes_that_cannot_be_drawn_have_numbers(no_font, second_font):
    counts, names = np.eye(3, dtype=int), ["cat", f"dog {no_font}", f"fish {second_font}"]
    for table in (
        tables.confusion(counts, names),
        tables.per_class(names, counts, *measures(counts)),
    ):
        rows = printed(table)[2:5]
        for number, (name, row) in enumerate(zip(names, rows, strict=True)):
            assert row.startswith(f"#{number} {name}")
    names[1] = "dog"
    assert not any("#" in line for line in printed(tables.confusion(counts, names)))


def test_of_hundreds_of_classes_only_the_worst_are_listed():
    counts, names = classes_and_errors(200, [(n, n + 1, n) for n in range(25)])
    _, _, f1 = found = measures(counts)
    lines = printed(tables.per_class(names, counts, *found))
    title = "The 20 classes with the lowest F1, of 200; evaluation.json has all"
    assert " ".join(lines[:2]) == title and len(lines) == 2 + 2 + 20 + 1
    worst = np.argsort(f1, kind="stable")[:20]
    assert [line.split()[0] for line in lines[4:-1]] == [f"#{n}" for n in worst]
    assert lines[-1].startswith("mean of all classes")
    assert lines[-1].split()[-1] == f"{f1.mean():.1%}"
    # A class without images has no F1 that says anything.
    counts[150] = 0
    lines = printed(tables.per_class(names, counts, *measures(counts)))
    assert not any("#150" in line for line in lines)


def test_of_hundreds_of_classes_only_the_most_confused_pairs_are_listed():
    counts, names = classes_and_errors(200, [(n, n + 1, n) for n in range(1, 41)])
    counts[60] *= 2
    counts[60, 3] = 40
    lines = printed(tables.confusion(counts, names))
    assert lines[0] == "The 30 most confused of 41 confused pairs of classes"
    assert len(lines) == 1 + 2 + 30
    rows = [re.split(r"\s{2,}", line) for line in lines[3:]]
    assert rows[0] == ["#40 class o40", "#41 class p41", "40", "44.4%"]
    assert rows[1] == ["#60 class i60", "#3 class d3", "40", "28.6%"]
    assert rows[2][2:] == ["39", "43.8%"]
    right = 50 * np.eye(200, dtype=int)
    assert printed(tables.confusion(right, names))[0] == "No errors"
    right[3, 4] = 1
    assert printed(tables.confusion(right, names))[0] == "1 confused pair of classes"

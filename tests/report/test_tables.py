"""Tables for the terminal."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from cnn_jax.report import tables


def test_names_are_printed_as_they_are():
    """A string would be taken for rich's markup, and a class called [red] would vanish."""
    console = Console(file=io.StringIO(), width=100)
    console.print(tables.confusion(np.eye(2, dtype=int), ("[red]", "[/b]")))
    printed = console.file.getvalue().splitlines()
    assert "[red]" in printed[1] and "[/b]" in printed[1]
    assert [line.split()[0] for line in printed if "100.0%" in line] == ["[red]", "[/b]"]


def test_a_few_classes_have_longer_heads():
    names = ("a very long name", "another long name", "cat")
    console = Console(file=io.StringIO(), width=110)
    console.print(tables.confusion(np.eye(3, dtype=int), names))
    head = next(line for line in console.file.getvalue().splitlines() if "accuracy" in line)
    assert "a very long name" in head and "another long nam" in head


def test_a_class_without_images_has_no_accuracy():
    """Two of class a, one of them taken for b; none of b."""
    console = Console(file=io.StringIO(), width=100)
    counts = np.array([[1, 1], [0, 0]])
    console.print(tables.confusion(counts, ("a", "b")))
    precision, recall, f1 = np.array([1, 0]), np.array([0.5, np.nan]), np.array([2 / 3, 0])
    console.print(tables.per_class(("a", "b"), counts, precision, recall, f1))
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["a", "50.0%", "1", "1"] in rows and ["b", ".", ".", "."] in rows
    assert ["b", "0", "0.0%", ".", "0.0%"] in rows
    assert ["mean", "of", "classes", "50.0%", "50.0%", "33.3%"] in rows

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

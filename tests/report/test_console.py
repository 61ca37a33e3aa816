"""What is printed is printed as it is."""

from __future__ import annotations

import io

import pytest

from cnn_jax.terminal.console import RunConsole


@pytest.mark.parametrize("line", ["folder:x: 80 images", "runs/[a] is new", "runs/[/a]: done"])
def test_names_are_no_emoji_codes_and_no_markup(line):
    out = io.StringIO()
    RunConsole(file=out, width=80).print(line)
    assert out.getvalue() == f"{line}\n"

"""What is printed is printed as it is."""

from __future__ import annotations

import io

from cnn_jax.terminal.console import RunConsole


def test_names_with_colons_are_no_emoji_codes():
    out = io.StringIO()
    console = RunConsole(file=out, width=80)
    console.print("folder:x: 80 images", markup=False)
    assert out.getvalue() == "folder:x: 80 images\n"

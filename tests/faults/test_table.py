"""The table of docs/reliability.md: every row has a test that carries its number."""

from __future__ import annotations

import re

from program import ROOT

TABLE = ROOT / "docs" / "reliability.md"
NOT_HERE_YET: set[int] = set()


def test_every_row_has_a_test_and_every_such_test_a_row():
    rows = {int(n): line for n, line in re.findall(r"^\| (\d+) (\|.*)$", TABLE.read_text(), re.M)}
    assert sorted(rows) == list(range(1, len(rows) + 1))
    assert {n for n, line in rows.items() if "not here yet" in line} == NOT_HERE_YET
    tested: dict[int, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for number in re.findall(r"def test_row_(\d+)_", path.read_text()):
            tested.setdefault(int(number), set()).add(str(path.relative_to(ROOT)))
    assert tested.keys() == rows.keys() - NOT_HERE_YET
    for number, files in tested.items():
        named = re.findall(r"`(tests/[^`]*)`", rows[number])
        assert named, number
        for file in files:
            assert any(file.startswith(place) for place in named), (number, file)

"""The notebook docs/tour.ipynb runs from its first cell to its last."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import pytest

TOUR = Path(__file__).resolve().parents[2] / "docs" / "tour.ipynb"


@pytest.fixture
def cells():
    return [
        "".join(cell["source"])
        for cell in json.loads(TOUR.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]


@pytest.mark.slow
def test_every_cell_runs(cells, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    names: dict[str, object] = {}
    for cell in cells:
        exec(cell, names)
    assert "3,072 weights a neuron" in capsys.readouterr().out
    assert names["result"].summary["test_accuracy"] > 0.5


def test_what_it_shows_was_made_from_these_cells():
    """Each cell was run, in order, and none ended in an error."""
    code = [c for c in json.loads(TOUR.read_text())["cells"] if c["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert outputs and not any(output["output_type"] == "error" for output in outputs)

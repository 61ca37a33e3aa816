"""The table of volumes as printed and as Markdown."""

from __future__ import annotations

import pytest
from printed import to_text

from cnn_jax import models
from cnn_jax.analysis.volumes import volumes
from cnn_jax.report.volume_table import notes, to_markdown


def table_of(make, shape=(32, 32, 3)):
    return volumes(make(num_classes=10), shape)


def test_notes_explain_only_what_the_table_contains():
    assert "Biases count the scales and shifts of norms." in notes(table_of(models.ResNet20))
    assert notes(table_of(models.LeNet)) == [
        "The 11,166 values of one image take 0.0447 MB in float32; training keeps about twice as "
        "many, with their gradients."
    ]
    assert (
        "Conv_0: the stride does not fit 224x224; no window covers the last rows and columns "
        "(1 and 1)."
    ) in notes(table_of(models.AlexNet2012, (224, 224, 3)))


def test_the_text_has_every_number_and_fits_a_terminal():
    text = to_text(table_of(models.ConvNet))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[4].split() == ["INPUT", "32x32x3", "3,072"]
    first = "Conv_0 conv 3x3 32x32x16 16,384 432 16 442,368 3x3 50,331,648"
    assert lines[5].split() == first.split()
    assert lines[-1].split() == ["total", "67,722", "204,208", "362", "10,011,904", "444,728,576"]


@pytest.mark.parametrize("make", [m for m in vars(models).values() if isinstance(m, type)])
def test_every_family_fits_a_wide_terminal(make):
    text = to_text(table_of(make, make.published_on.image_shape))
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) <= 32
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


def test_large_images_widen_the_table_but_cut_nothing():
    """But the digits of the last column's large numbers."""
    text = to_text(table_of(models.ResNet18, (200, 200, 3)))
    assert "21,696,005,120" in text and "4.16e+13" in text
    assert "41,574,400,005,120" in to_markdown(table_of(models.ResNet18, (200, 200, 3)))


def test_runs_of_equal_layers_are_one_line_in_a_long_table():
    table = table_of(models.ResNet110)
    assert len(table.convolutions) == 109
    lines = to_text(table).splitlines()
    assert len(lines) == 15
    (stage,) = [line.split() for line in lines if "36 x conv 3x3" in line]
    assert stage[0] == "Block_0/Conv_0"
    assert stage[-5:] == ["82,944", "1,152", "84,934,656", "32x32", f"{36 * 16384**2:,}"]
    assert any(note.startswith("2 x:") for note in notes(table))


def test_markdown_holds_the_same_cells():
    table = table_of(models.ConvNet)
    lines = to_markdown(table).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(cells) == 2 + 12 + 1
    assert all(
        len(row) == 9 and line[0] == line[-1] == "|" for row, line in zip(cells, lines, strict=True)
    )
    assert cells[1] == ["---", "---", *["---:"] * 7]
    assert " ".join(cells[3]) == "Conv_0 conv 3x3 32x32x16 16,384 432 16 442,368 3x3 50,331,648"
    assert cells[-1][0] == "**total**" and cells[-1][-1] == "**444,728,576**"

"""The tables and figures of robustness show every result."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.text import Text
from rich.console import Console

from cnn_jax.report.robustness_results import (
    build_corruption_examples,
    build_robustness,
    corruption_examples,
    robustness,
    to_tables,
)

FOUND = {
    "examples": 1234,
    "clean_accuracy": 0.9,
    "tta": "mirror",
    "views": {"none": 0.9, "mirror": 0.91},
    "corruptions": {
        "mean_accuracy": 0.654,
        "kinds_in_the_mean": 2,
        "left_out": ["frost", "spatter"],
        "accuracy": {
            "fog": [0.88, 0.77, 0.66, 0.55, 0.44],
            "snow": [0.8, 0.7, 0.6, 0.5, 0.4],
            "saturate": [0.1, 0.2, 0.3, 0.4, 0.5],
        },
    },
    "cifar10_c": None,
    "cifar10_1": {"v6": 0.789},
    "attacks": {
        "accuracy": {
            "2/255": {"fgsm": 0.41, "pgd10": 0.31, "pgd20": 0.3},
            "8/255": {"fgsm": 0.12, "pgd10": 0.01, "pgd20": 0.0},
        }
    },
}


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("width", [80, 110])
def test_tables_hold_every_number_in_the_width_of_a_terminal(width):
    console = Console(file=io.StringIO(), width=width)
    for table in to_tables(FOUND):
        console.print(table)
    said = console.file.getvalue()
    words = said.split()
    for word in ("91.00%", "88.0%", "66.0%", "40.0%", "65.4%", "78.90%", "41.0%", "30.0%", "0.0%"):
        assert word in words
    assert "without frost and spatter" in said
    assert "CIFAR-10.1" in said and "CIFAR-10-C" not in said


def test_figure_has_a_cell_for_each_severity_and_a_line_for_each_attack(tmp_path):
    figure = build_robustness(FOUND)
    shown = texts(figure)
    assert "Accuracy (%) on 1,234 test images, views: mirror" in shown
    assert "Corruptions: mean of the upper 2 is 65.4%" in shown
    for cell in ("88", "77", "66", "55", "44", "20", "10"):
        assert cell in shown
    assert shown.count("90") == 3  # each kind's clean image
    fgsm, _, pgd = figure.axes[1].lines
    np.testing.assert_allclose(fgsm.get_xydata(), [(0, 90), (2, 41), (8, 12)])
    np.testing.assert_allclose(pgd.get_xydata(), [(0, 90), (2, 30), (8, 0)])
    assert robustness(FOUND, tmp_path / "robustness.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_examples_show_each_severity_in_turn(channels, tmp_path):
    images = [np.full((4, 4, channels), 40 * number, np.uint8) for number in range(6)]
    shown = {"fog": images, "gaussian_noise": images[::-1], "snow": images}
    figure = build_corruption_examples(shown)
    assert {"fog", "gaussian noise", "snow", "clean", "1", "5"} <= set(texts(figure))
    left = np.asarray(figure.axes[0].images[0].get_array())  # cells of 8 pixels, 2 of them frame
    row = left.reshape(*left.shape[:2], -1)[4, 4::8, 0]
    np.testing.assert_array_equal(row, [0, 40, 80, 120, 160, 200])
    np.testing.assert_array_equal(left.reshape(*left.shape[:2], -1)[12, 4::8, 0], row[::-1])
    assert not corruption_examples({}, tmp_path / "none.png")

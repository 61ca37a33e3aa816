"""The figure of the most confident errors, and the reliability diagram."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.text import Text

from cnn_jax.analysis.calibration import reliability
from cnn_jax.report.calibration_figure import build_reliability_diagram, reliability_diagram
from cnn_jax.report.confident_errors_figure import (
    build_confident_errors,
    confident_errors,
    most_confident,
)

VALUES = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8], [0.55, 0.45]])
LABELS = np.array([0, 0, 1, 1, 1])  # examples 1, 2 and 4 are wrong, by 0.4, 0.2 and 0.1


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_the_most_confident_errors_come_first():
    np.testing.assert_array_equal(most_confident(VALUES, LABELS), [1, 2, 4])
    np.testing.assert_array_equal(most_confident(VALUES, LABELS, most=2), [1, 2])
    # In scores it is the distance that counts: 0 above -1 is a larger margin than 5 above 4.
    scores = np.array([[4.0, 5.0], [-1.0, 0.0], [-3.0, 2.0]])
    np.testing.assert_array_equal(most_confident(scores, np.zeros(3, int)), [2, 0, 1])


def test_each_error_is_drawn_with_both_classes(tmp_path):
    images = np.arange(5, dtype=np.uint8).repeat(48).reshape(5, 4, 4, 3) * 50
    figure = build_confident_errors(images, LABELS, VALUES, ("cat", "dog"), probable=True)
    title = "Errors: predicted class, true class, and the probability of each"
    assert sorted(texts(figure)) == sorted(
        ["dog 70%\ntrue: cat 30%", "cat 60%\ntrue: dog 40%", "cat 55%\ntrue: dog 45%", title]
    )
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    np.testing.assert_array_equal(drawn, images[[1, 2, 4]])
    right = VALUES.argmax(1)
    path = tmp_path / "mistakes.png"
    assert not confident_errors(images, right, VALUES, ("cat", "dog"), True, path)
    assert not path.exists()


def captions(classes):
    images = np.zeros((5, 4, 4, 3), np.uint8)
    figure = build_confident_errors(images, LABELS, VALUES, classes, probable=True)
    return [axes.title.get_text() for axes in figure.axes if axes.images], figure


def test_classes_that_differ_only_in_their_middle_have_different_captions():
    classes = [f"a class with a long name, {letter}, of animals" for letter in "xy"]
    found, figure = captions(classes)
    names = [line.rpartition(" ")[0] for line in found[0].splitlines()]
    assert len(set(names)) == 2 and max(map(len, names)) <= 14
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes if axes.images]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_a_class_that_no_font_can_draw_has_its_number(no_font):
    found, figure = captions(["cat", no_font])
    assert found[0] == "#1 70%\ntrue: cat 30%"
    assert figure.get_suptitle().endswith("\n#N: class N in the tables of --mode=evaluate")


def test_reliability_diagram_says_what_was_measured(tmp_path):
    found = reliability(VALUES, LABELS, bins=5)
    figure = build_reliability_diagram({"Before": found, "After": found})
    assert f"Before\nECE {found.ece:.2%}" in texts(figure)
    above, _, below, _ = figure.axes
    heights = [bar.get_height() for bar in above.patches]
    np.testing.assert_allclose(heights, [0, 50, 100])  # of (0.4, 0.6], (0.6, 0.8], (0.8, 1]
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], [0, 0, 40, 40, 20])
    assert not reliability_diagram({}, tmp_path / "none.png")

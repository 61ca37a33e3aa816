"""What the tab Test set shows, against what evaluate writes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnn_jax.demo.components import enlarged
from cnn_jax.demo.scored_set import ScoredSet
from cnn_jax.losses import MulticlassHinge
from cnn_jax.modes.evaluate import evaluate
from cnn_jax.runs import scored_images
from cnn_jax.runs.scored_images import ScoredImages
from cnn_jax.runs.trained_run import restore_plan
from cnn_jax.runs.workdir import Run


@pytest.fixture(scope="module")
def scored(small_run):
    plan, state = restore_plan(small_run)
    return ScoredSet(plan, state.variables, scored_images.of_run(Run(small_run), plan, None))


@pytest.fixture(scope="module")
def evaluated(small_run):
    result = evaluate(small_run)
    return result, json.loads((small_run / "evaluation.json").read_text())


def test_confusions_and_calibration_are_those_of_evaluate(scored, evaluated):
    result, written = evaluated
    assert scored.result.confusion().tolist() == written["confusion"]
    calibration = written["calibration"]
    assert scored.calibrated.before.ece == pytest.approx(calibration["ece"])
    assert scored.calibrated.temperature == pytest.approx(calibration["temperature"])
    logits = result.logits.astype(np.float64) / calibration["temperature"]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(scored.values, probabilities, rtol=1e-5)
    assert scored.reliability.ndim == 3


def test_the_cells_hold_every_image_once_the_most_confident_first(scored, evaluated):
    result, written = evaluated
    seen = []
    for true, row in enumerate(written["confusion"]):
        for predicted, count in enumerate(row):
            cell = scored.cell(true, predicted)
            assert len(cell) == count
            assert (result.labels[cell] == true).all()
            assert (result.logits[cell].argmax(1) == predicted).all()
            assert (np.diff(scored.values[cell, predicted]) <= 0).all()
            seen += cell.tolist()
    assert sorted(seen) == list(range(75))


def test_the_first_cell_is_the_most_frequent_confusion(scored, evaluated):
    counts = np.array(evaluated[1]["confusion"])
    np.fill_diagonal(counts, 0)
    assert counts[scored.first_cell()] == counts.max() > 0


def test_a_click_on_the_matrix_finds_its_cell(scored):
    """The cells of the diagonal and the others have the colours of their percentages."""
    drawn = scored.confusion
    counts = scored.result.confusion()
    percent = 100 * counts / counts.sum(1, keepdims=True)
    top, bottom, left, right = drawn.matrix
    height, width = (bottom - top) / 10, (right - left) / 10
    shade = np.empty((10, 10))
    for row in range(10):
        for column in range(10):
            # Away from the number in the middle.
            y, x = round(top + (row + 0.15) * height), round(left + (column + 0.15) * width)
            assert drawn.cell(x, y) == (row, column)
            shade[row, column] = drawn.picture[y, x].mean()
    order = np.argsort(percent.ravel())
    assert (np.diff(shade.ravel()[order]) <= 1).all()  # the more, the darker
    assert drawn.cell(0, 0) is None and drawn.cell(*drawn.picture.shape[1::-1]) is None


def test_scores_of_a_hinge_loss_are_no_probabilities(plan_of, state_of, dataset, tmp_path):
    plan = plan_of(loss=MulticlassHinge())
    images = ScoredImages("noise", "test", dataset.test, tmp_path, None, "no validation images")
    scored = ScoredSet(plan, state_of(plan).variables, images)
    assert scored.calibrated is None and scored.reliability is None
    np.testing.assert_array_equal(scored.values, scored.result.logits)
    true, predicted = scored.first_cell()
    cell = scored.cell(true, predicted)
    assert (np.diff(scored.values[cell, predicted]) <= 0).all()
    np.testing.assert_array_equal(scored.image(cell[0]), dataset.test.images[cell[0]])


def test_small_pictures_are_enlarged_pixel_by_pixel():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    drawn = enlarged(grey, 5)
    assert drawn.shape == (6, 9, 3)
    np.testing.assert_array_equal(drawn[::3, ::3, 1], grey[..., 0])

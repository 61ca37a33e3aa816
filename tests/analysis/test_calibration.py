"""ECE by hand, and the temperature against a grid search."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_jax.analysis.calibration import (
    fit_temperature,
    negative_log_likelihood,
    reliability,
    softmax,
)


def two_classes(*confidences):
    """Rows in which class 0 is predicted with these probabilities."""
    return np.array([[p, 1 - p] for p in confidences])


def test_ece_by_hand():
    """Five bins. Three of 0.9 of which two are right, two of 0.7 of which none is: the gaps are
    |2/3 - 0.9| and |0 - 0.7|, by 3/5 and 2/5 of the examples."""
    found = reliability(two_classes(0.9, 0.9, 0.9, 0.7, 0.7), np.array([0, 0, 1, 1, 1]), bins=5)
    np.testing.assert_array_equal(found.counts, [0, 0, 0, 2, 3])
    np.testing.assert_allclose(found.accuracy, [np.nan, np.nan, np.nan, 0, 2 / 3])
    np.testing.assert_allclose(found.confidence, [np.nan, np.nan, np.nan, 0.7, 0.9])
    assert found.ece == pytest.approx(3 / 5 * (0.9 - 2 / 3) + 2 / 5 * 0.7)


def test_gaps_of_either_sign_within_a_bin_cancel_and_between_bins_do_not():
    """0.62 right and 0.78 wrong share the bin (0.6, 0.8]: accuracy 0.5, confidence 0.7."""
    found = reliability(two_classes(0.62, 0.78, 0.95), np.array([0, 1, 0]), bins=5)
    assert found.ece == pytest.approx(2 / 3 * 0.2 + 1 / 3 * 0.05)


def test_a_bin_has_its_upper_edge_and_there_are_15():
    found = reliability(two_classes(0.5, 0.75, 1.0), np.array([0, 0, 0]), bins=4)
    np.testing.assert_array_equal(found.counts, [0, 1, 1, 1])
    assert len(reliability(two_classes(0.5), np.array([0])).counts) == 15


@pytest.fixture(scope="module")
def overconfident():
    """Scores three times as large as those that the labels were sampled from."""
    random = np.random.default_rng(0)
    scores = random.normal(0, 1.5, (4000, 5))
    labels = np.array([random.choice(5, p=row) for row in softmax(scores)])
    return 3 * scores, labels


def test_temperature_against_a_grid_search(overconfident):
    logits, labels = overconfident
    grid = np.geomspace(0.5, 10, 3000)

    def loss(temperature):  # written out, apart from the module
        exponents = np.exp(logits / temperature)
        return -np.log(exponents[np.arange(4000), labels] / exponents.sum(1)).mean()

    best = grid[np.argmin([loss(temperature) for temperature in grid])]
    found = fit_temperature(logits.astype(np.float32), labels)
    assert found == pytest.approx(best, rel=2e-3)
    assert found == pytest.approx(3, rel=0.1)
    assert negative_log_likelihood(logits, labels, found) == pytest.approx(loss(found))
    assert loss(found) <= loss(best) + 1e-9


def test_temperature_lowers_ece_and_leaves_the_classes(overconfident):
    logits, labels = overconfident
    before, after = softmax(logits), softmax(logits, fit_temperature(logits, labels))
    assert reliability(before, labels).ece > 0.2
    assert reliability(after, labels).ece < 0.03
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))


def test_labels_that_no_temperature_is_best_for():
    """All correct: the lower the better. All wrong: the higher the better."""
    logits = np.array([[2.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(logits, np.array([0, 1])) is None
    assert fit_temperature(logits, np.array([1, 0])) is None
    assert np.isfinite(softmax(logits * 1000, 1e-6)).all()

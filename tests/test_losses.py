from __future__ import annotations

import math

import jax
import numpy as np
import optax
import pytest

from cnn_jax.losses import MulticlassHinge, Softmax

# The course notes' example: scores of cat, car and frog for three images, and the right class.
SCORES = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]], np.float32)
LABELS = np.array([0, 1, 2])


def softmax(scores):
    exponents = np.exp(np.asarray(scores, np.float64))
    return exponents / exponents.sum(-1, keepdims=True)


def test_hinge_of_the_course_notes():
    """max(0, 5.1-3.2+1) + max(0, -1.7-3.2+1) = 2.9;  0;  6.3 + 6.6 = 12.9."""
    losses = MulticlassHinge()(SCORES, LABELS)
    np.testing.assert_allclose(losses, [2.9, 0, 12.9], atol=1e-5)


def test_squared_hinge_and_margin():
    losses = MulticlassHinge(squared=True)(SCORES, LABELS)
    np.testing.assert_allclose(losses, [2.9**2, 0, 6.3**2 + 6.6**2], rtol=1e-5)
    # margin 6: 7.9 + 1.1;  2.4 + 3.1;  11.3 + 11.6
    losses = MulticlassHinge(margin=6)(SCORES, LABELS)
    np.testing.assert_allclose(losses, [9.0, 5.5, 22.9], rtol=1e-5)


def test_softmax_of_the_course_notes():
    """-log(e^3.2 / (e^3.2 + e^5.1 + e^-1.7)) = -log 0.13 = 2.04."""
    losses = Softmax()(SCORES, LABELS)
    assert float(losses[0]) == pytest.approx(2.04, abs=0.005)
    np.testing.assert_allclose(losses, -np.log(softmax(SCORES)[[0, 1, 2], LABELS]), rtol=1e-5)


def test_losses_of_equal_scores():
    """log K and (K - 1) margins, as for an untrained net."""
    scores, labels = np.full((4, 10), 0.3), np.arange(4)
    np.testing.assert_allclose(Softmax()(scores, labels), math.log(10), rtol=1e-6)
    np.testing.assert_allclose(MulticlassHinge()(scores, labels), 9, rtol=1e-6)


def test_label_smoothing():
    """A share of 0.3 spread over 3 classes: 0.8 for the right one, 0.1 for each other."""
    target = np.full((3, 3), 0.1) + 0.7 * np.eye(3)
    expected = -(target * np.log(softmax(SCORES))).sum(-1)
    np.testing.assert_allclose(Softmax(label_smoothing=0.3)(SCORES, LABELS), expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_mixed_labels(smoothing):
    loss = Softmax(label_smoothing=smoothing)
    one_hot = np.eye(3)
    np.testing.assert_allclose(loss(SCORES, one_hot), loss(SCORES, LABELS), rtol=1e-6)
    halves = 0.25 * one_hot + 0.75 * one_hot[::-1]
    expected = 0.25 * loss(SCORES, LABELS) + 0.75 * loss(SCORES, LABELS[::-1])
    np.testing.assert_allclose(loss(SCORES, halves), expected, rtol=1e-5)
    assert Softmax.takes_mixed_labels
    assert not MulticlassHinge.takes_mixed_labels


def test_large_scores_do_not_overflow():
    scores = np.array([[1e4, 0.0, -1e4]])
    np.testing.assert_allclose(Softmax()(scores, np.array([2])), [2e4])
    np.testing.assert_allclose(Softmax()(scores, np.array([0])), [0])


def test_optax_agrees():
    random = np.random.default_rng(0)
    scores, labels = random.standard_normal((20, 7)).astype(np.float32), np.arange(20) % 7
    expected = optax.losses.softmax_cross_entropy_with_integer_labels(scores, labels)
    np.testing.assert_allclose(Softmax()(scores, labels), expected, rtol=1e-5)
    # optax takes the largest term of the wrong classes; with two classes, that is the sum.
    scores, labels = scores[:, :2], labels % 2
    expected = optax.losses.multiclass_hinge_loss(scores, labels)
    np.testing.assert_allclose(MulticlassHinge()(scores, labels), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [Softmax(), Softmax(label_smoothing=0.2), MulticlassHinge(), MulticlassHinge(squared=True)],
    ids=repr,
)
def test_gradients_by_finite_differences(loss):
    total = jax.jit(lambda s: loss(s, LABELS).sum())
    gradient = np.asarray(jax.jit(jax.grad(total))(SCORES))
    for place in np.ndindex(gradient.shape):
        step = np.zeros(gradient.shape, np.float32)
        step[place] = 0.05  # too small to cross a hinge's kink
        slope = float(total(SCORES + step) - total(SCORES - step)) / 0.1
        assert gradient[place] == pytest.approx(slope, abs=2e-3)


def test_gradient_of_softmax_is_probability_minus_label():
    gradient = jax.grad(lambda s: Softmax()(s, LABELS).sum())(SCORES)
    np.testing.assert_allclose(gradient, softmax(SCORES) - np.eye(3), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: Softmax(label_smoothing=1.0), "label_smoothing"),
        (lambda: Softmax(label_smoothing=-0.1), "label_smoothing"),
        (lambda: MulticlassHinge(margin=0), "margin"),
        (lambda: MulticlassHinge(margin=float("inf")), "margin"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np
import optax
import pytest

from cnn_jax.errors import UserError
from cnn_jax.losses import MulticlassHinge, Softmax, balanced_weights

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


WEIGHTS = (0.5, 1.0, 4.0)
MIXED = np.array([[0.25, 0, 0.75], [0, 1, 0], [0.75, 0, 0.25]], np.float32)


# By torch 2.13 in float64: F.cross_entropy(scores, label, weight=w, reduction="none",
# label_smoothing=e), and 3 F.multi_margin_loss(scores, label, p, weight=w, reduction="none"), which
# divides by the number of classes.
@pytest.mark.parametrize(
    ("loss", "label", "expected"),
    [
        (Softmax(), LABELS, [1.020177576, 0.079131778, 24.625908807]),
        (Softmax(0.3), LABELS, [3.606319638, 1.438914723, 19.799198626]),
        (Softmax(), MIXED, [21.076109853, 0.079131778, 6.477656152]),
        (Softmax(0.3), MIXED, [17.645472231, 1.438914723, 7.095421768]),
        (MulticlassHinge(), LABELS, [1.45, 0, 51.6]),
        (MulticlassHinge(squared=True), LABELS, [4.205, 0, 333.0]),
    ],
)
def test_torch_agrees_on_class_weights(loss, label, expected):
    weighted = dataclasses.replace(loss, class_weights=WEIGHTS)
    np.testing.assert_allclose(weighted(SCORES, label), expected, rtol=1e-5)
    ones = dataclasses.replace(loss, class_weights=(1.0, 1.0, 1.0))
    np.testing.assert_allclose(ones(SCORES, label), loss(SCORES, label), rtol=1e-6)


def test_balanced_weights_by_hand():
    """350 / (3 * 300), 350 / (3 * 30), 350 / (3 * 20); their mean over the 350 images is 1."""
    weights = balanced_weights((300, 30, 20))
    assert weights == pytest.approx((0.3888889, 3.8888889, 5.8333333))
    assert np.dot(weights, (300, 30, 20)) == pytest.approx(350)
    assert balanced_weights((5, 5)) == (1, 1)


def test_a_class_without_training_images_is_not_counted():
    assert balanced_weights((30, 0, 10)) == pytest.approx((40 / 60, 1, 40 / 20))


@pytest.mark.parametrize("loss", [Softmax(0.1), MulticlassHinge(margin=2.0, squared=True)])
def test_weights_are_resolved_by_the_data(loss):
    balanced, numbers = (
        dataclasses.replace(loss, class_weights=weights) for weights in ("balanced", WEIGHTS)
    )
    assert loss.resolve((30, 10)) == loss.resolve(()) == loss
    expected = dataclasses.replace(loss, class_weights=(40 / 60, 2.0))
    assert balanced.resolve((30, 10)) == expected
    assert numbers.resolve((1, 2, 3)) == numbers
    with pytest.raises(UserError, match=r"class_weights must have 2 values, one for each class"):
        numbers.resolve((30, 10))
    for weighted in (balanced, numbers):
        with pytest.raises(UserError, match=r"does not record: train it again"):
            weighted.resolve(())
    with pytest.raises(UserError, match=r"call `resolve` before"):
        balanced(SCORES, LABELS)


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
        (lambda: Softmax(class_weights=(1.0, 0.0)), r"class_weights\[1\]"),
        (lambda: MulticlassHinge(class_weights=(-1.0, 1.0)), r"class_weights\[0\]"),
        (lambda: MulticlassHinge(margin=0), "margin"),
        (lambda: MulticlassHinge(margin=float("inf")), "margin"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()

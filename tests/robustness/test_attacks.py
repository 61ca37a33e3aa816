"""Attacks against the closed form of a linear net, and on a net that bends."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.robustness import attacks

# Compiled, since one program takes less time than its operations one by one.
fgsm, gradient, pgd = (
    jax.jit(attack, static_argnums=0) for attack in (attacks.fgsm, attacks.gradient, attacks.pgd)
)
random_start = jax.jit(attacks.random_start)

SHAPE = (4, 4, 3)
EPSILON = 8 / 255


@pytest.fixture(scope="module")
def images():
    """Values that leave no room below in some places and above in others."""
    images = np.random.default_rng(0).uniform(-0.2, 1.2, (64, *SHAPE)).clip(0, 1)
    return images.astype(np.float32)


@pytest.fixture(scope="module")
def linear():
    """The weights of a linear net of two classes, f32[D,2], and its scores."""
    weights = np.random.default_rng(1).standard_normal((48, 2)).astype(np.float32)
    return weights, lambda image: image.reshape(len(image), -1) @ weights


@pytest.fixture(scope="module")
def bent():
    """A net of three classes that is not linear; labels that it gives."""
    random = np.random.default_rng(2)
    first = random.standard_normal((48, 32)).astype(np.float32)
    last = random.standard_normal((32, 3)).astype(np.float32)

    @jax.jit
    def score(image):
        return jnp.tanh(2 * (image - 0.5).reshape(len(image), -1) @ first) @ last

    return score


def test_fgsm_on_a_linear_net_is_its_closed_form(images, linear):
    """Two classes: the loss grows with (w_other - w_label) x, so each value goes by that sign."""
    labels = np.arange(64, dtype=np.int32) % 2
    weights, score = linear
    made = fgsm(score, images, labels, EPSILON)
    towards = np.where(labels[:, None] == 0, 1, -1) * (weights[:, 1] - weights[:, 0])
    expected = np.clip(images + EPSILON * np.sign(towards).reshape(images.shape), 0, 1)
    np.testing.assert_allclose(made, expected, atol=1e-7)


def test_pgd_on_a_linear_net_ends_in_the_same_corner(images, linear):
    """The best of the ball; from any start 2 * 8 / 2 steps reach it."""
    _, score = linear
    labels = np.arange(64, dtype=np.int32) % 2
    start = random_start(jax.random.key(0), images, np.arange(64), EPSILON)
    made, _ = pgd(score, start, images, labels, EPSILON, 2 / 255, 8)
    np.testing.assert_allclose(made, fgsm(score, images, labels, EPSILON), atol=1e-6)


def test_the_gradient_against_finite_differences(images, bent):
    labels = np.asarray(bent(images)).argmax(1)
    slope, logits = gradient(bent, images[:4], labels[:4])
    np.testing.assert_allclose(logits, bent(images[:4]), rtol=1e-5)

    def loss(image):
        scores = np.asarray(bent(image), np.float64)
        return np.log(np.exp(scores).sum(1)) - scores[np.arange(4), labels[:4]]

    for place in ((0, 0, 0), (1, 2, 1), (3, 3, 2)):
        moved = np.zeros(SHAPE, np.float32)
        moved[place] = 5e-3
        difference = (loss(images[:4] + moved) - loss(images[:4] - moved)) / 1e-2
        np.testing.assert_allclose(slope[:, *place], difference, rtol=0.02, atol=1e-3)


def test_the_ball_the_range_and_strength(images, bent):
    """PGD stays where it may be, and fools at least as often as FGSM, which it does not equal."""
    labels = np.asarray(bent(images)).argmax(1).astype(np.int32)
    epsilon = 2 / 255
    start = random_start(jax.random.key(0), images, np.arange(64), epsilon)
    assert abs(start - images).max() <= epsilon + 1e-7
    assert abs(start - images).max() > 0.9 * epsilon
    assert start.min() >= 0 and start.max() <= 1
    made, fooled = pgd(bent, start, images, labels, epsilon, 0.5 / 255, 10)
    assert abs(made - images).max() <= epsilon + 1e-7
    assert made.min() >= 0 and made.max() <= 1
    fast = np.asarray(bent(fgsm(bent, images, labels, epsilon))).argmax(1) != labels
    ended = np.asarray(bent(made)).argmax(1) != labels
    assert np.all(fooled | ~ended)  # the end counts
    assert fooled.sum() >= fast.sum() > 0
    assert fooled.sum() < 64


def test_a_start_does_not_depend_on_the_batch(images):
    whole = random_start(jax.random.key(0), images, np.arange(64), EPSILON)
    part = random_start(jax.random.key(0), images[40:], np.arange(40, 64), EPSILON)
    np.testing.assert_array_equal(whole[40:], part)


def test_calls_follow_each_other(images, bent):
    labels = np.asarray(bent(images)).argmax(1).astype(np.int32)
    start = random_start(jax.random.key(0), images, np.arange(64), EPSILON)
    once, fooled = pgd(bent, start, images, labels, EPSILON, 2 / 255, 4)
    half, first = pgd(bent, start, images, labels, EPSILON, 2 / 255, 2)
    twice, second = pgd(bent, half, images, labels, EPSILON, 2 / 255, 2)
    np.testing.assert_allclose(once, twice, atol=1e-7)
    np.testing.assert_array_equal(fooled, first | second)


def test_what_is_wrong_from_the_start_counts_as_fooled(images, bent):
    labels = (np.asarray(bent(images)).argmax(1).astype(np.int32) + 1) % 3
    _, fooled = pgd(bent, images, images, labels, 0.0, 0.0, 0)
    assert fooled.all()

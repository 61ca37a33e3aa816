"""Saliency against finite differences, SmoothGrad by its definition, Grad-CAM worked by hand."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled, volumes

from cnn_jax import models
from cnn_jax.analysis.attribution import grad_cam, largest, saliency, smooth_grad
from cnn_jax.training.step import image_scores

SIDE, CHANNELS, CLASSES = 4, 2, 3


class Net(nn.Module):
    """A 1x1 convolution of two filters, ReLU, a 2x2 pool and a score for each of three classes."""

    @nn.compact
    def __call__(self, image):
        x = nn.relu(nn.Conv(2, (1, 1), param_dtype=image.dtype)(image))
        x = nn.max_pool(x, (2, 2), (2, 2))
        return nn.Dense(CLASSES, param_dtype=image.dtype)(x.reshape(len(x), -1))


@pytest.fixture(scope="module")
def images():
    return volumes(2, SIDE, SIDE, CHANNELS)


@pytest.fixture(scope="module")
def variables(images):
    return filled(Net(), images, seed=2)


def test_saliency_against_finite_differences(images, variables):
    classes, step = np.array([2, 0]), 1e-6
    with jax.enable_x64(True):
        precise = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
        pixels = np.asarray(images, np.float64)
        found = np.asarray(saliency(Net().apply, precise, pixels, classes))
        assert found.dtype == np.float64
        # Every pixel of an image has a copy of it with the pixel a step up, and one a step down.
        steps = step * np.eye(pixels[0].size).reshape(-1, *pixels[0].shape)
        for image, label, gradient in zip(pixels, classes, found, strict=True):
            up, down = (np.asarray(Net().apply(precise, image + s)) for s in (steps, -steps))
            numeric = (up - down)[:, label] / (2 * step)
            np.testing.assert_allclose(gradient.ravel(), numeric, rtol=1e-6, atol=1e-8)
    assert (abs(found) > 1e-3).sum() > 10


@pytest.mark.parametrize("convolutions", ["fast", "stock"])
def test_saliency_of_a_run_s_scores_in_all_views(plan_of, state_of, dataset, convolutions):
    """Along a random direction, through normalisation, views, norms and pools."""
    plan = plan_of(tta="mirror_translate", convolutions=convolutions)
    state = state_of(plan)
    images = dataset.test.images[:3].astype(np.float32)
    classes = np.array([1, 0, 7])
    apply = functools.partial(image_scores, plan)
    gradient = jax.jit(functools.partial(saliency, apply))(state.variables, images, classes)
    direction = volumes(*images.shape, seed=1)
    score = jax.jit(apply)
    up, down = (
        np.asarray(score(state.variables, images + sign * 0.05 * direction))[range(3), classes]
        for sign in (1, -1)
    )
    expected = (np.asarray(gradient) * direction).sum((1, 2, 3))
    np.testing.assert_allclose((up - down) / 0.1, expected, rtol=0.05, atol=2e-4)
    assert abs(expected).max() > 2e-3


def test_smooth_grad_without_noise_is_saliency(images, variables):
    classes = np.array([1, 2])

    @jax.jit
    def gradient(noisy):
        return saliency(Net().apply, variables, noisy, classes)

    smooth = smooth_grad(gradient, jnp.asarray(images), jax.random.key(0), samples=4, noise=0)
    np.testing.assert_allclose(smooth, gradient(images), rtol=1e-6)


def test_the_noise_of_smooth_grad():
    """The gradient of the squared pixels is twice a noisy copy, which reveals the noise."""
    images = jnp.asarray(np.stack([np.linspace(-1, 3, 3072), np.linspace(0, 1, 3072)]))
    images = images.reshape(2, 32, 32, 3).astype(np.float32)
    seen = []

    def gradient(noisy):
        seen.append(noisy)
        return 2 * noisy

    smooth = smooth_grad(gradient, images, jax.random.key(3), samples=5, noise=0.2)
    assert len(seen) == 5
    noise = np.stack(seen) - np.asarray(images)
    np.testing.assert_allclose(noise.std((0, 2, 3, 4)), [0.8, 0.2], rtol=0.03)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1
    np.testing.assert_allclose(smooth, 2 * np.mean(seen, 0), rtol=1e-5, atol=1e-6)


def test_largest_of_the_channels():
    gradient = jnp.array([[[[1.0, -3.0], [0.5, 0.25]]]])
    np.testing.assert_array_equal(largest(gradient), [[[3.0, 0.5]]])


def upsampled(heat):
    """2x2 to 4x4, bilinearly about the centres of the pixels: worked by hand."""
    weights = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    return weights @ heat @ weights.T


def test_grad_cam_worked_by_hand(images, variables):
    classes = np.array([2, 2])
    found = np.asarray(grad_cam(Net().apply, variables, images, classes))
    conv, dense = variables["params"]["Conv_0"], variables["params"]["Dense_0"]
    relu = np.maximum(images @ conv["kernel"][0, 0] + conv["bias"], 0)
    pooled = relu.reshape(2, 2, 2, 2, 2, 2).max((2, 4))
    # The score is linear in the pooled volume: its gradient is the class's weights, place by place.
    weights = dense["kernel"].reshape(2, 2, 2, CLASSES).mean((0, 1))
    for volume, label, heat in zip(pooled, classes, found, strict=True):
        summed = volume @ weights[:, label]
        np.testing.assert_allclose(heat, upsampled(np.maximum(summed, 0)), rtol=1e-5, atol=1e-6)
    assert (found > 0).any() and (found == 0).any()


def test_grad_cam_of_an_earlier_volume(images, variables):
    """Of the ReLU's: the gradient goes to the largest of each tile."""
    classes = np.array([2, 2])
    found = np.asarray(grad_cam(Net().apply, variables, images, classes, layer=1))
    conv, dense = variables["params"]["Conv_0"], variables["params"]["Dense_0"]
    relu = np.maximum(images @ conv["kernel"][0, 0] + conv["bias"], 0)
    weights = dense["kernel"].reshape(2, 2, 2, CLASSES).sum((0, 1)) / SIDE**2
    for volume, label, heat in zip(relu, classes, found, strict=True):
        np.testing.assert_allclose(
            heat, np.maximum(volume @ weights[:, label], 0), rtol=1e-5, atol=1e-6
        )


def test_grad_cam_needs_a_convolution(images):
    model = models.MLP(hidden=(4,), num_classes=3)
    variables = filled(model, images, train=False)
    with pytest.raises(ValueError, match="convolution"):
        grad_cam(lambda v, x: model.apply(v, x, train=False), variables, images, np.array([0, 1]))

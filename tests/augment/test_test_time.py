from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.augment.test_time import average_scores

HEIGHT, WIDTH = 5, 7


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((6, HEIGHT, WIDTH, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(1).standard_normal((HEIGHT * WIDTH * 3, 4)).astype(np.float32)


def score(weights, image):
    """Scores that tell every pixel from every other, and are not linear in the image."""
    return jnp.tanh(image.reshape(len(image), -1) @ weights / 4)


def test_views_are_not_averaged_by_a_matrix_product(images):
    """Accelerators round the operands of one to half precision."""
    average = functools.partial(average_scores, lambda x: x.sum((1, 2)), views="mirror_translate")
    assert "dot_general" not in str(jax.make_jaxpr(average)(images))


def numpy_score(weights, image):
    return np.tanh(image.reshape(len(image), -1).astype(float) @ weights / 4)


def mirrored(image):
    return image[:, :, ::-1]


def shifted(image, by):
    """The image whose pixel (r, c) is (r + by, c + by) of the given one, reflected at its edges."""

    def reflected(place, size):
        return size - 1 - abs(size - 1 - abs(place))

    rows = [reflected(r + by, HEIGHT) for r in range(HEIGHT)]
    columns = [reflected(c + by, WIDTH) for c in range(WIDTH)]
    return image[:, rows][:, :, columns]


def expected(weights, image, views):
    def both(image):
        return (numpy_score(weights, image) + numpy_score(weights, mirrored(image))) / 2

    if views == "none":
        return numpy_score(weights, image)
    if views == "mirror":
        return both(image)
    return 0.5 * both(image) + 0.25 * (both(shifted(image, -1)) + both(shifted(image, 1)))


@pytest.mark.parametrize("views", ["none", "mirror", "mirror_translate"])
def test_views_against_numpy(images, weights, views):
    out = jax.jit(lambda image: average_scores(functools.partial(score, weights), image, views))(
        images
    )
    np.testing.assert_allclose(out, expected(weights, images, views), rtol=1e-4, atol=1e-5)


def test_the_views_differ(images, weights):
    """So that the test above can tell them apart."""
    plain, mirror, all_views = (
        expected(weights, images, views) for views in ("none", "mirror", "mirror_translate")
    )
    assert abs(plain - mirror).max() > 0.1
    assert abs(all_views - mirror).max() > 0.1


def test_equal_views_have_the_scores_of_one():
    """The weights add up to one."""
    grey = np.full((2, HEIGHT, WIDTH, 3), 0.5, np.float32)
    out = average_scores(lambda image: image.mean((1, 2)), grey, "mirror_translate")
    np.testing.assert_allclose(out, 0.5, rtol=1e-6)


def test_memory_of_one_view_at_a_time():
    """The scores are one program, run view after view: there is one convolution in it."""
    kernel = np.ones((3, 3, 3, 2), np.float32)

    def convolve(image):
        numbers = ("NHWC", "HWIO", "NHWC")
        out = ops.conv_general_dilated(image, kernel, (1, 1), "SAME", dimension_numbers=numbers)
        return out.sum((1, 2))

    with ops.stock():
        program = str(
            jax.make_jaxpr(lambda x: average_scores(convolve, x, "mirror_translate"))(
                np.zeros((2, HEIGHT, WIDTH, 3), np.float32)
            )
        )
    assert program.count("conv_general_dilated[") == 1

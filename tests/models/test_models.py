from __future__ import annotations

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models, ops
from cnn_jax.models import layers
from cnn_jax.models.airbench_layers import partly_identity
from cnn_jax.models.whitening import EPSILON, Whitening
from cnn_jax.ranges import NonNegative, Probability
from cnn_jax.results import sizes

# For the images and classes of `published_on`.
PUBLISHED = {
    "Airbench": 1_971_352,
    "Airbench93": 568_728,
    "Airbench94": 1_971_352,
    "Airbench96": 9_915_416,
    "LeNet": 62_006,
    "ConvNet": 204_570,
    "MLP": 1_841_162,
    "QuickNet": 287_408,
    "ResNet": 269_722,
    "ResNet20": 269_722,
    "ResNet32": 464_154,
    "ResNet44": 658_586,
    "ResNet56": 853_018,
    "ResNet110": 1_727_962,
    "StagedResNet": 11_173_962,
    "ResNet18": 11_173_962,
    "ResNet34": 21_282_122,
    "AlexNet": 2_472_266,
    "ZFNet": 7_147_338,
    "NIN": 966_986,
    "AlexNet2012": 60_965_224,
    "AlexNet2014": 61_100_840,
    "AllCNN": 1_369_738,
    "VGG": 14_728_266,
    "VGG11": 9_231_114,
    "VGG13": 9_416_010,
    "VGG16": 14_728_266,
    "VGG19": 20_040_522,
    "GoogLeNet": 6_166_250,
    "ImageNetGoogLeNet": 6_624_904,
    "ImageNetMobileNetV2": 3_504_872,
    "ImageNetVGG": 138_357_544,
    "ImageNetVGG11": 132_863_336,
    "ImageNetVGG13": 133_047_848,
    "ImageNetVGG16": 138_357_544,
    "ImageNetVGG19": 143_667_240,
    "MobileNet": 3_217_226,
    "MobileNetV2": 2_296_922,
    "ConvMixer": 594_186,
    "ConvMixer256_8": 594_186,
    "ConvNeXt": 27_824_362,
    "ConvNeXtAtto": 3_376_290,
    "ConvNeXtTiny": 27_824_362,
    "BottleneckResNet": 23_520_842,
    "ResNet50": 23_520_842,
    "ResNet101": 42_512_970,
    "ResNet152": 58_156_618,
    "StagedPreActResNet": 11_171_146,
    "PreActResNet18": 11_171_146,
    "PreActResNet50": 23_509_066,
    "PreActResNet": 1_703_258,
    "PreActResNet164": 1_703_258,
    "WideResNet": 2_748_890,
    "WRN16_4": 2_748_890,
    "WRN16_8": 10_961_370,
    "WRN28_10": 36_479_194,
    "WRN40_4": 8_949_210,
    "DenseNet": 176_122,
    "DenseNetBC40_12": 176_122,
    "DenseNetBC100_12": 769_162,
    "DenseNetBC190_40": 25_624_430,
    "DenseNet121": 6_956_298,
    "ResNeXt": 34_426_698,
    "ResNeXt29_2x64d": 9_128_778,
    "ResNeXt29_8x64d": 34_426_698,
    "SEResNet": 11_260_354,
    "SEResNet18": 11_260_354,
    "PyramidNet": 3_904_446,
    "PyramidNet110_a84": 3_904_446,
    "PyramidNet272_a200": 26_210_842,
    "ShakeShake": 2_923_162,
    "ShakeShake26_2x32d": 2_923_162,
    "ShakeShake26_2x96d": 26_192_922,
}
FAMILIES = [family for family in vars(models).values() if isinstance(family, type)]
# Deep families in their shortest form, which is as good for shapes.
SHORT = {
    "BottleneckResNet": {"blocks": (1, 1)},
    "DenseNet": {"blocks": (2, 2)},
    "PreActResNet": {"depth": 11},
    "PyramidNet": {"depth": 14},
    "ResNeXt": {"depth": 11},
    "ShakeShake": {"depth": 8},
}
# What a model needs changed to take images with one channel.
GREY = {"QuickNet": {"filters": 32}}


def image_size(family, *usual):
    """The usual height and width, or some that the nets for ImageNet take."""
    return usual if family.published_on.image_shape[0] == 32 else (70, 84)


def shapes(model, *image_shape):
    """The shapes of the scores and variables of a training pass over 2 images."""
    image = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    with ops.stock():  # shapes are the same, and it is traced faster
        return jax.eval_shape(
            lambda x: model.init_with_output(jax.random.key(0), x, train=True), image
        )


def test_every_model_has_an_expected_size():
    assert set(models.__all__) == set(PUBLISHED)


@pytest.mark.parametrize("name", models.__all__)
def test_parameters_as_published_and_as_documented(name):
    """tests/analysis/test_structure.py compares the table of sizes with the models."""
    assert sizes.table()[name].parameters == PUBLISHED[name]
    described = re.findall(r"\b\d[\d,]{4,}\b", getattr(models, name).__doc__)
    assert f"{PUBLISHED[name]:,}" in described


@pytest.mark.parametrize("family", FAMILIES)
def test_grey_images_give_scores(family):
    fields = SHORT.get(family.__name__, {}) | GREY.get(family.__name__, {})
    scores, _ = shapes(family(num_classes=7, **fields), *image_size(family, 28, 28), 1)
    assert (scores.shape, scores.dtype) == ((2, 7), jnp.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_batch_of_oblong_images_can_be_scored(family):
    model = family(num_classes=7, **SHORT.get(family.__name__, {}))
    size = image_size(family, 33, 47)
    _, variables = shapes(model, *size, 3)
    images = jax.ShapeDtypeStruct((5, *size, 3), jnp.float32)
    with ops.stock():  # shapes are the same, and it is traced faster
        scores = jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, images)
    assert scores.shape == (5, 7)


@pytest.mark.parametrize("image_shape", [(32, 32, 3), (200, 200, 3)])
def test_a_neuron_that_sees_every_pixel_has_a_weight_for_each(image_shape):
    _, variables = shapes(models.MLP(num_classes=10), *image_shape)
    kernel = variables["params"]["Dense_0"]["kernel"]
    assert kernel.shape == (np.prod(image_shape), 512)


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: models.ResNet(depth=21), "depth"),
        (lambda: models.ResNet(depth=2), "depth"),
        (lambda: models.ResNet20(width=0), "width"),
        (lambda: models.ResNet18(num_classes=-1), "num_classes"),
        (lambda: models.StagedResNet(blocks=(2, 0)), r"blocks\[1\]"),
        (lambda: models.ConvNet(widths=(16, -2)), r"widths\[1\]"),
        (lambda: models.ConvNet(hidden=0), "hidden"),
        (lambda: models.MLP(hidden=(0,)), r"hidden\[0\]"),
        (lambda: models.QuickNet(filters=0), "filters"),
        (lambda: models.LeNet(num_classes=0), "num_classes"),
        (lambda: shapes(models.QuickNet(filters=47, num_classes=2), 16, 16, 3), "filters"),
        (lambda: shapes(models.QuickNet(filters=34, num_classes=2), 16, 16, 1), "filters"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()


def test_residual_shortcut_is_every_other_pixel_with_zero_channels_around():
    """If the convolutions output zeros, a block returns its shortcut (option A)."""
    from cnn_jax.models.resnet import Block

    x = np.random.default_rng(0).random((2, 5, 6, 4)).astype(np.float32)
    block = Block(width=8, stride=2)
    variables = jax.tree.map(
        lambda s: jnp.zeros(s.shape),
        jax.eval_shape(lambda: block.init(jax.random.key(0), x, train=False)),
    )
    expected = np.zeros((2, 3, 3, 8), np.float32)
    expected[..., 2:6] = x[:, ::2, ::2]
    np.testing.assert_array_equal(block.apply(variables, x, train=False), expected)


class Normed(nn.Module):
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x, *, train):
        return layers.batch_norm(train=train, momentum=self.momentum)(x)


def volumes(*shape):
    random = np.random.default_rng(0)
    return (random.standard_normal(shape) * [1, 3, 0.5] + [0, -2, 1]).astype(np.float32)


def test_batch_norm_keeps_running_statistics():
    """running = m running + (1 - m) batch, from mean 0 and variance 1; biased variance."""
    model, mean, variance = Normed(momentum=0.6), np.zeros(3), np.ones(3)
    x = volumes(3, 4, 5, 6, 3)
    variables = model.init(jax.random.key(0), x[0], train=False)
    for batch in x:
        out, updates = model.apply(variables, batch, train=True, mutable=["batch_stats"])
        axes = (0, 1, 2)
        normal = (batch - batch.mean(axes)) / np.sqrt(batch.var(axes) + 1e-5)
        np.testing.assert_allclose(out, normal, atol=1e-4)
        mean = 0.6 * mean + 0.4 * batch.mean(axes)
        variance = 0.6 * variance + 0.4 * batch.var(axes)
        variables = {**variables, **updates}
    np.testing.assert_allclose(variables["batch_stats"]["BatchNorm_0"]["mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(variables["batch_stats"]["BatchNorm_0"]["var"], variance, rtol=1e-4)
    out = model.apply(variables, x[0], train=False)
    np.testing.assert_allclose(out, (x[0] - mean) / np.sqrt(variance + 1e-5), atol=1e-4)


def test_batch_norm_sees_the_whole_batch_where_it_is_split():
    model, x = Normed(), volumes(8, 2, 2, 3)
    variables = model.init(jax.random.key(0), x, train=False)

    def train(x):
        return model.apply(variables, x, train=True, mutable=["batch_stats"])

    whole, statistics = train(x)
    parts, updates = jax.vmap(train, axis_name=layers.BATCH_AXIS)(x.reshape(4, 2, 2, 2, 3))
    np.testing.assert_allclose(parts.reshape(x.shape), whole, atol=1e-5)
    jax.tree.map(
        lambda of_parts, of_whole: np.testing.assert_allclose(of_parts[2], of_whole, rtol=1e-5),
        updates,
        statistics,
    )


def smooth_images(*shape):
    """Images whose neighbouring pixels are correlated, as in photographs."""
    noise = np.random.default_rng(0).standard_normal(shape)
    return (noise.cumsum(1).cumsum(2) / 8).astype(np.float32)


def test_whitening_whitens_the_images_it_was_computed_from():
    """Over all patches the outputs are uncorrelated, with the power l / (l + epsilon) each."""
    images = smooth_images(20, 12, 12, 3)
    layer = Whitening(filters=48, window=4, stride=2)
    variables = layer.init(jax.random.key(0), images)
    out = np.asarray(layer.apply(variables, images), float)
    assert out.shape == (20, 5, 5, 48)
    flat = out.reshape(-1, 48)
    np.testing.assert_allclose(flat[:, 24:], -flat[:, :24], atol=1e-4)

    patches = np.stack(
        [
            images[:, r : r + 4, c : c + 4].reshape(20, -1)
            for r in range(0, 9, 2)
            for c in range(0, 9, 2)
        ]
    ).reshape(-1, 48)
    power = np.linalg.eigvalsh(patches.T.astype(float) @ patches / len(patches))[::-1][:24]
    large = power > 100 * EPSILON
    assert large.sum() > 10
    covariance = flat[:, :24].T @ flat[:, :24] / len(flat)
    expected = np.diag(power / (power + EPSILON))
    np.testing.assert_allclose(covariance[large][:, large], expected[large][:, large], atol=0.01)


def test_whitening_trains_only_its_bias():
    images = smooth_images(4, 8, 8, 3)
    variables = Whitening(filters=4, window=4, stride=2).init(jax.random.key(0), images)
    assert jax.tree.map(jnp.shape, variables["params"]) == {"bias": (4,)}
    out = Whitening(filters=4, window=4, stride=2).apply(
        {**variables, "params": {"bias": jnp.arange(4.0)}}, jnp.zeros((1, 4, 4, 3))
    )
    np.testing.assert_array_equal(out[0, 0, 0], [0, 1, 2, 3])


@pytest.mark.parametrize(("channels", "filters"), [(3, 5), (5, 3)])
def test_first_filters_copy_their_channel(channels, filters):
    shape = (3, 3, channels, filters)
    kernel = jax.jit(lambda key: partly_identity(key, shape))(jax.random.key(0))
    image = np.random.default_rng(0).random((2, 6, 7, channels)).astype(np.float32)
    out = jax.lax.conv_general_dilated(
        image, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    passed = min(channels, filters)
    np.testing.assert_array_equal(out[..., :passed], image[..., :passed])
    rest = np.asarray(kernel)[..., passed:]
    bound = 1 / np.sqrt(9 * channels)
    assert (abs(rest) <= bound).all()
    assert rest.size == 0 or rest.std() == pytest.approx(bound / np.sqrt(3), rel=0.2)


def test_quicknet_starts_with_scores_of_unit_weights_over_its_width():
    model = models.QuickNet(filters=4, widths=(6,), num_classes=5)

    @jax.jit
    def run(images):
        variables = model.init(jax.random.key(0), images, train=False)
        head = variables["params"]["head"]["kernel"]
        _, seen = model.apply(
            variables, images, train=False, capture_intermediates=lambda m, _: m.name == "head"
        )
        return head, model.apply(variables, images, train=False), seen

    head, scores, seen = run(smooth_images(8, 12, 12, 3))
    assert float(head.std()) == pytest.approx(1, rel=1e-4)
    (unscaled,) = jax.tree.leaves(seen)
    np.testing.assert_allclose(scores, unscaled / 6, rtol=1e-4)


def test_kernels_before_a_relu_have_variance_two_over_fan_in():
    layer = layers.Conv(64)
    kernel = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, 16)))["params"]["kernel"]
    assert float(kernel.var()) == pytest.approx(2 / (9 * 16), rel=0.05)


class Declared(layers.Net):
    """Fields of every kind: those that declare a range, or hold other things than integers."""

    width: int = 4
    widths: tuple[int, ...] = (4, 8)
    extra: NonNegative[int] = 0
    drops: tuple[Probability[float], ...] = (0.0, 0.5)
    kinds: tuple[str, ...] = ("conv", "dense")
    flags: tuple[bool, ...] = (True, False)
    pads: tuple[tuple[int, int], ...] = ((1, 1), (0, 0))
    heads: tuple[nn.Module, ...] = (nn.Dense(3),)

    def __call__(self, image, *, train):
        return image


def test_a_net_s_integers_are_positive_where_no_range_is_declared():
    Declared()
    wrong = {"width": 0, "widths": (4, 0), "extra": -1, "drops": (0.5, 1.5)}
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=rf"^{field}(\[1\])? must be "):
            Declared(**{field: value})

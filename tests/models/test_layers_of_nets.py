"""The published families on 32x32x3: expected layers, invalid fields and minimum image sizes."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.analysis.structure import layers, parameter_count
from cnn_jax.models import layers as parts
from cnn_jax.models.stochastic_depth import StochasticDepth

IMAGE = (32, 32, 3)
# Window, stride, and the volume that comes out, of every convolution.
CONVOLUTIONS = {
    "AlexNet": [
        (11, 4, (8, 8, 64)),
        (5, 1, (4, 4, 192)),
        (3, 1, (2, 2, 384)),
        *[(3, 1, (2, 2, 256))] * 2,
    ],
    "ZFNet": [
        (7, 1, (32, 32, 96)),
        (5, 1, (15, 15, 256)),
        *[(3, 1, (7, 7, 384))] * 2,
        (3, 1, (7, 7, 256)),
    ],
    "NIN": [
        (5, 1, (32, 32, 192)),
        (1, 1, (32, 32, 160)),
        (1, 1, (32, 32, 96)),
        (5, 1, (16, 16, 192)),
        *[(1, 1, (16, 16, 192))] * 2,
        (3, 1, (8, 8, 192)),
        (1, 1, (8, 8, 192)),
    ],
    "AllCNN": [
        *[(3, 1, (32, 32, 96))] * 2,
        (3, 2, (16, 16, 96)),
        *[(3, 1, (16, 16, 192))] * 2,
        (3, 2, (8, 8, 192)),
        (3, 1, (6, 6, 192)),
        (1, 1, (6, 6, 192)),
    ],
    "VGG16": [
        *[(3, 1, (32, 32, 64))] * 2,
        *[(3, 1, (16, 16, 128))] * 2,
        *[(3, 1, (8, 8, 256))] * 3,
        *[(3, 1, (4, 4, 512))] * 3,
        *[(3, 1, (2, 2, 512))] * 3,
    ],
    "MobileNet": [
        (3, 1, (32, 32, 32)),
        *[(3, 1, (32, 32, 32)), (1, 1, (32, 32, 64))],
        *[(3, 2, (16, 16, 64)), (1, 1, (16, 16, 128)), (3, 1, (16, 16, 128))],
        *[(1, 1, (16, 16, 128)), (3, 2, (8, 8, 128)), (1, 1, (8, 8, 256)), (3, 1, (8, 8, 256))],
        *[(1, 1, (8, 8, 256)), (3, 2, (4, 4, 256)), (1, 1, (4, 4, 512))],
        *[(3, 1, (4, 4, 512)), (1, 1, (4, 4, 512))] * 5,
        *[(3, 2, (2, 2, 512)), (1, 1, (2, 2, 1024)), (3, 1, (2, 2, 1024)), (1, 1, (2, 2, 1024))],
    ],
    "ConvMixer": [
        (2, 2, (16, 16, 256)),
        *[(5, 1, (16, 16, 256)), (1, 1, (16, 16, 256))] * 8,
    ],
    "ConvNeXtTiny": [
        (2, 2, (16, 16, 96)),
        *[(7, 1, (16, 16, 96))] * 3,
        (2, 2, (8, 8, 192)),
        *[(7, 1, (8, 8, 192))] * 3,
        (2, 2, (4, 4, 384)),
        *[(7, 1, (4, 4, 384))] * 9,
        (2, 2, (2, 2, 768)),
        *[(7, 1, (2, 2, 768))] * 3,
    ],
}
# The last volume before it becomes numbers: of its mean or maximum, or flattened.
LAST = {
    "AlexNet": (2, 2, 256),
    "ZFNet": (7, 7, 256),
    "NIN": (8, 8, 10),
    "AllCNN": (6, 6, 10),
    "VGG16": (2, 2, 512),
    "GoogLeNet": (8, 8, 1024),
    "MobileNet": (2, 2, 1024),
    "MobileNetV2": (4, 4, 1280),
    "ConvMixer": (16, 16, 256),
    "ConvNeXtTiny": (2, 2, 768),
}


def of_kind(kind, name, **fields):
    model = getattr(models, name)(num_classes=10, **fields)
    return [layer for layer in layers(model, IMAGE) if layer.kind == kind]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_by_hand(name):
    found = [(layer.window, layer.stride, layer.output) for layer in of_kind("conv", name)]
    assert found == [((w, w), (s, s), volume) for w, s, volume in CONVOLUTIONS[name]]


@pytest.mark.parametrize("name", LAST)
def test_last_volume_by_hand(name):
    assert of_kind("pool", name)[-1].input == LAST[name]


def test_googlenet_module_by_module():
    """Each module's input depth is the sum of the branches of the module before it."""
    found = [c for c in of_kind("conv", "GoogLeNet") if c.name.endswith("/Conv_0")]
    depths = (192, 256, 480, 512, 512, 512, 528, 832, 832)
    sides = (32, 32, 16, 16, 16, 16, 16, 8, 8)
    assert [c.input for c in found] == [(s, s, d) for s, d in zip(sides, depths, strict=True)]
    windows = [c.window for c in of_kind("conv", "GoogLeNet") if c.name.startswith("Inception_4/")]
    assert [w for w, _ in windows] == [1, 1, 3, 1, 3, 3, 1]


def test_mobilenetv2_block_by_block():
    """The depthwise convolutions of its 17 blocks, and the shortcuts that change the depth."""
    stem, *found = [c for c in of_kind("conv", "MobileNetV2") if c.window == (3, 3)]
    assert stem.output == (32, 32, 32)
    expected = [
        *[(32, 32, 32), (32, 32, 96), (32, 32, 144), (16, 16, 144), *[(16, 16, 192)] * 2],
        *[(8, 8, 192), *[(8, 8, 384)] * 4, *[(8, 8, 576)] * 2],
        *[(4, 4, 576), *[(4, 4, 960)] * 3],
    ]
    assert [c.output for c in found] == expected
    assert [c.weights for c in found] == [9 * depth for *_, depth in expected]
    shortcuts = [c for c in of_kind("conv", "MobileNetV2") if c.name.endswith("/Conv_3")]
    ends = [(c.input[2], c.output[2]) for c in shortcuts]
    assert ends == [(32, 16), (16, 24), (64, 96), (160, 320)]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (0.35, [16, 8, 8, 16, 24, 32, 56, 112, 1280]),
        (0.5, [16, 8, 16, 16, 32, 48, 80, 160, 1280]),
        (1.0, [32, 16, 24, 32, 64, 96, 160, 320, 1280]),
        (1.4, [48, 24, 32, 48, 88, 136, 224, 448, 1792]),
    ],
)
def test_mobilenetv2_of_other_widths_has_the_published_depths(width, expected):
    stem, *inside, last = of_kind("conv", "MobileNetV2", width=width)
    ends = [c.output[2] for c in inside if c.name.endswith("/Conv_2")]
    firsts = [ends[place] for place in (0, 1, 3, 6, 10, 13, 16)]
    assert [stem.output[2], *firsts, last.output[2]] == expected


def test_half_a_mobilenet_has_half_of_each_depth():
    whole, half = (of_kind("conv", "MobileNet", width=width) for width in (1.0, 0.5))
    assert [2 * c.output[2] for c in half] == [c.output[2] for c in whole]
    assert {c.output[2] for c in of_kind("conv", "MobileNet", width=0.001)} == {8}


@pytest.mark.parametrize("name", sorted({*LAST} - {"ZFNet"}))
def test_larger_images_need_no_more_parameters(name):
    model = getattr(models, name)(num_classes=10)
    assert parameter_count(model, (64, 48, 3)) == parameter_count(model, IMAGE)


def test_zfnet_has_a_weight_for_each_position():
    model = models.ZFNet(num_classes=10)
    added = parameter_count(model, (64, 64, 3)) - parameter_count(model, IMAGE)
    assert added == (7 * 7 - 3 * 3) * 256 * 1024  # 64 -> 31 -> 15 -> 7, 32 -> 15 -> 7 -> 3


def test_convnext_drops_later_blocks_more_often():
    rates = []

    def note(following, arguments, keywords, context):
        if isinstance(context.module, StochasticDepth) and context.method_name == "__call__":
            rates.append(context.module.rate)
        return following(*arguments, **keywords)

    model = models.ConvNeXtAtto(drop_path=0.1, num_classes=10)
    with nn.intercept_methods(note):
        parameter_count(model, IMAGE)
    np.testing.assert_allclose(rates, np.linspace(0, 0.1, 2 + 2 + 6 + 2))


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: models.VGG(depth=12), "depth"),
        (lambda: models.VGG16(width=0), "width"),
        (lambda: models.ZFNet(hidden=0), "hidden"),
        (lambda: models.AllCNN(width=-1), "width"),
        (lambda: models.MobileNet(width=0.0), "width"),
        (lambda: models.MobileNetV2(width=float("nan")), "width"),
        (lambda: models.ConvMixer(kernel_size=0), "kernel_size"),
        (lambda: models.ConvMixer(patch_size=0), "patch_size"),
        (lambda: models.ConvNeXt(depths=(3, 3)), "widths"),
        (lambda: models.ConvNeXt(depths=(3, 0, 9, 3)), r"depths\[1\]"),
        (lambda: models.ConvNeXtTiny(drop_path=1.0), "drop_path"),
        *((lambda name=name: getattr(models, name)(num_classes=0), "num_classes") for name in LAST),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()


@pytest.mark.parametrize(
    ("name", "smallest"),
    [
        ("AlexNet", 13),
        ("ZFNet", 15),
        ("NIN", 4),
        ("AllCNN", 9),
        ("VGG11", 16),
        ("ConvMixer", 2),
        ("ConvNeXtAtto", 16),
    ],
)
def test_images_that_are_too_small_are_an_error(name, smallest):
    model = getattr(models, name)(num_classes=10)

    def scores(side):
        image = jax.ShapeDtypeStruct((1, side, 40, 3), jnp.float32)
        key = jax.random.key(0)
        return jax.eval_shape(lambda x: model.init_with_output(key, x, train=False)[0], image)

    assert scores(smallest).shape == (1, 10)
    with pytest.raises(ValueError, match="larger"):
        scores(smallest - 1)


def test_the_window_of_a_convolution_comes_second_as_in_flax():
    image = jnp.ones((1, 8, 8, 3))
    for conv in (parts.Conv(4, (5, 1)), parts.Conv(4, kernel_size=(5, 1))):
        assert conv.init(jax.random.key(0), image)["params"]["kernel"].shape == (5, 1, 3, 4)
    assert parts.Conv(4).kernel_size == (3, 3)

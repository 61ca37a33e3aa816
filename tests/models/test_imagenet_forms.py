"""The ImageNet forms: published sizes, volumes by hand, and images that are too small."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import config, models, ops
from cnn_jax.analysis.structure import layers, parameter_count
from cnn_jax.analysis.volumes import volumes
from cnn_jax.config.names import NAMES


def named(value):
    return config.to_text(value, NAMES) if isinstance(value, nn.Module) else ""


# With 1,000 classes. AlexNet2012's by hand below; the others are those that torchvision states.
PARAMETERS = [
    (models.AlexNet2012(), 60_965_224),
    (models.AlexNet2012(towers=1), 62_378_344),
    (models.AlexNet2014(), 61_100_840),
    (models.ImageNetVGG11(), 132_863_336),
    (models.ImageNetVGG13(), 133_047_848),
    (models.ImageNetVGG16(), 138_357_544),
    (models.ImageNetVGG19(), 143_667_240),
    (models.ImageNetGoogLeNet(), 6_624_904),
    (models.ImageNetMobileNetV2(), 3_504_872),
    (models.ResNet18(stem="imagenet"), 11_689_512),
    (models.ResNet34(stem="imagenet"), 21_797_672),
    (models.ResNet50(stem="imagenet"), 25_557_032),
    (models.ResNet101(stem="imagenet"), 44_549_160),
    (models.ResNet152(stem="imagenet"), 60_192_808),
]


@pytest.mark.parametrize(("model", "expected"), PARAMETERS, ids=named)
def test_parameters_as_published(model, expected):
    side = 227 if isinstance(model, models.AlexNet2012) else 224
    assert parameter_count(model.clone(num_classes=1000), (side, side, 3)) == expected
    assert f"{expected:,}" in type(model).__doc__ + "".join(
        getattr(models, name).__doc__ for name in models.__all__ if name.startswith("ImageNetVGG")
    )


def of_kind(kind, model, side=224):
    return [x for x in layers(model.clone(num_classes=1000), (side, side, 3)) if x.kind == kind]


def test_alexnet_of_2012_row_by_row():
    """CS231n: the first volume has 290,400 neurons, which 11*11*3*96 + 96 parameters compute."""
    table = volumes(models.AlexNet2012(towers=1, num_classes=1000), (227, 227, 3))
    rows = [(row.what, row.volume, row.weights + row.biases) for row in table.rows[1:]]
    assert rows == [
        ("conv 11x11/4", (55, 55, 96), 34_944),
        ("pool 3x3/2", (27, 27, 96), 0),
        ("conv 5x5", (27, 27, 256), 25 * 96 * 256 + 256),
        ("pool 3x3/2", (13, 13, 256), 0),
        ("conv 3x3", (13, 13, 384), 9 * 256 * 384 + 384),
        ("conv 3x3", (13, 13, 384), 9 * 384 * 384 + 384),
        ("conv 3x3", (13, 13, 256), 9 * 384 * 256 + 256),
        ("pool 3x3/2", (6, 6, 256), 0),
        ("fc", (1, 1, 4096), 9216 * 4096 + 4096),
        ("fc", (1, 1, 4096), 4096 * 4096 + 4096),
        ("fc", (1, 1, 1000), 4096 * 1000 + 1000),
    ]
    assert np.prod(table.rows[1].volume) == 290_400


def test_the_towers_of_2012_share_the_image_and_the_third_convolution():
    """Elsewhere each filter sees half of the depth before it: half of the weights."""
    one, two = (
        [row.weights for row in of_kind("conv", models.AlexNet2012(towers=towers), 227)]
        for towers in (1, 2)
    )
    assert [w / o for o, w in zip(one, two, strict=True)] == [1, 0.5, 1, 0.5, 0.5]


@pytest.mark.parametrize(
    ("model", "sides"),
    [
        (models.AlexNet2014(), [55, 27, 13, 13, 13]),
        (models.ImageNetVGG11(), [224, 112, 56, 56, 28, 28, 14, 14]),
        (models.ImageNetVGG16(), [224] * 2 + [112] * 2 + [56] * 3 + [28] * 3 + [14] * 3),
        (
            models.ImageNetGoogLeNet(),
            [112, 56, 56] + [28] * 12 + [14] * 30 + [7] * 12,  # 6 convolutions a module
        ),
        (
            models.ResNet18(stem="imagenet"),
            [112] + [56] * 4 + [28] * 5 + [14] * 5 + [7] * 5,  # 1x1 shortcuts included
        ),
        (
            models.ImageNetMobileNetV2(),
            # The second convolution of a block, depthwise, has its stride.
            [112] * 4
            + [56] * 5
            + [56, 28, 28]
            + [28] * 6
            + [28, 14, 14]
            + [14] * 18
            + [14, 7, 7]
            + [7] * 10,
        ),
    ],
    ids=named,
)
def test_sides_of_the_convolutions_of_an_image_of_224(model, sides):
    found = of_kind("conv", model)
    assert [layer.output[0] for layer in found] == sides
    assert [layer.output[1] for layer in found] == sides


def test_the_stem_changes_nothing_but_the_first_kernel():
    cifar, imagenet = (models.ResNet50(stem=stem, num_classes=9) for stem in ("cifar", "imagenet"))
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)

    def shapes(model):
        with ops.stock():  # shapes are the same, and it is traced faster
            made = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
        return {
            jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
            for path, leaf in jax.tree_util.tree_flatten_with_path(made)[0]
        }

    before, after = shapes(cifar), shapes(imagenet)
    assert before.keys() == after.keys()
    changed = {path: (before[path], after[path]) for path in before if before[path] != after[path]}
    assert changed == {"params/Conv_0/kernel": ((3, 3, 3, 64), (7, 7, 3, 64))}
    sides = [row.output[0] for row in of_kind("conv", models.ResNet18(stem="cifar"), 32)]
    assert sides == [32] * 5 + [16] * 5 + [8] * 5 + [4] * 5


def test_files_of_the_cifar_form_do_not_name_the_stem():
    assert config.to_text(models.ResNet50()) == "BottleneckResNet()"
    assert config.to_text(models.ResNet18(stem="imagenet")) == "StagedResNet(stem='imagenet')"


@pytest.mark.parametrize(
    ("model", "smallest"),
    [(models.AlexNet2012(), 67), (models.AlexNet2014(), 63), (models.ImageNetVGG11(), 32)],
    ids=named,
)
def test_images_that_are_too_small_are_an_error(model, smallest):
    def scores(side):
        image = jax.ShapeDtypeStruct((2, side, 80, 3), jnp.float32)
        net = model.clone(num_classes=3)
        with ops.stock():  # shapes are the same, and it is traced faster
            return jax.eval_shape(
                lambda x: net.init_with_output(jax.random.key(0), x, train=False)[0], image
            )

    assert scores(smallest).shape == (2, 3)
    with pytest.raises(ValueError, match="larger"):
        scores(smallest - 1)


@pytest.mark.parametrize(
    "model",
    [
        models.AlexNet2014(),
        models.ImageNetVGG11(),
        models.ImageNetGoogLeNet(),
        models.ImageNetMobileNetV2(),
        models.ResNet18(stem="imagenet"),
    ],
    ids=named,
)
def test_larger_images_need_no_more_parameters(model):
    model = model.clone(num_classes=3)
    assert parameter_count(model, (301, 192, 3)) == parameter_count(model, (224, 224, 3))


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: models.ResNet18(stem="small"), "stem"),
        (lambda: models.AlexNet2012(towers=3), "towers"),
        (lambda: models.AlexNet2012(hidden=0), "hidden"),
        (lambda: models.AlexNet2014(dropout=1.0), "dropout"),
        (lambda: models.ImageNetVGG(depth=12), "depth"),
        (lambda: models.ImageNetVGG16(hidden=-1), "hidden"),
        (lambda: models.ImageNetGoogLeNet(dropout=-0.1), "dropout"),
        (lambda: models.ImageNetMobileNetV2(width=0.0), "width"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()

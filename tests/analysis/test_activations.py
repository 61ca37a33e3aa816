"""A net's volumes: their names and shapes, and the net cut at any of them."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled, volumes

from cnn_jax import models
from cnn_jax.analysis.activations import Program, Volume, overview

# Compiled in half the time: each program here runs once.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
NETS = {
    "ConvNet": (models.ConvNet(widths=(4, 6), hidden=8, num_classes=4), 8),
    "LeNet": (models.LeNet(num_classes=4), 16),
    "ResNet": (models.ResNet(depth=8, width=4, num_classes=4), 8),
    "DenseNet": (models.DenseNet(blocks=(1, 1), growth=4, num_classes=4), 8),
    "ShakeShake": (models.ShakeShake(depth=8, width=4, num_classes=4), 8),
    "AllCNN": (models.AllCNN(width=4, num_classes=4), 12),
    "ConvNeXt": (models.ConvNeXt(depths=(1, 1), widths=(4, 6), num_classes=4), 8),
    "Airbench": (models.Airbench(widths=(4, 4, 4), convolutions=3, num_classes=4), 18),
}


def apply_of(model):
    return lambda variables, images: model.apply(variables, images, train=False)


def program_of(model, side=32):
    image = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    return Program(apply_of(model), shapes, image)


@pytest.mark.parametrize("name", NETS)
def test_a_net_cut_at_any_volume_has_the_same_scores(name):
    model, side = NETS[name]
    images = volumes(2, side, side, 3)
    variables = filled(model, images, train=False)
    if name == "Airbench":  # the first filters are statistics of the data
        variables["batch_stats"]["whitening"]["kernel"] = volumes(2, 2, 3, 24)
    apply = apply_of(model)
    program = Program(apply, variables, images)
    cuts = sorted({0, len(program.volumes) // 2, len(program.volumes) - 1})

    @jit
    def compute(variables, images):
        made = program.activations(variables, images)
        return (
            made,
            [program.scores(number, made[number], variables, images) for number in cuts],
            [program.scores(number, made[number][::-1], variables, images) for number in cuts],
            apply(variables, images),
        )

    made, cut, swapped, scores = compute(variables, images)
    assert [volume.shape for volume in made] == [(2, *volume.shape) for volume in program.volumes]
    for number, same, other in zip(cuts, cut, swapped, strict=True):
        np.testing.assert_allclose(same, scores, rtol=1e-4, atol=1e-5)
        assert abs(other - scores).max() > 1e-4, program.volumes[number]


def test_the_volumes_of_the_lesson_s_net():
    model, side = NETS["ConvNet"]
    images = volumes(2, side, side, 3)
    variables = filled(model, images, train=False)
    program = Program(apply_of(model), variables, images)
    assert [str(volume) for volume in program.volumes] == [
        "Conv_0", "relu", "Conv_1", "relu", "max pool", "Conv_2", "relu", "Conv_3", "relu",
        "max pool",
    ]  # fmt: skip
    assert program.volumes[4] == Volume("", "max pool", (4, 4, 4))
    made = [np.asarray(volume) for volume in jit(program.activations)(variables, images)]
    layer = variables["params"]["Conv_0"]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    corner = np.einsum("bhwc,hwcf->bf", padded[:, :3, :3], layer["kernel"]) + layer["bias"]
    np.testing.assert_allclose(made[0][:, 0, 0], corner, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made[1], np.maximum(made[0], 0))
    np.testing.assert_allclose(made[4], made[3].reshape(2, 4, 2, 4, 2, 4).max((2, 4)))


def test_a_block_s_volumes_are_named_by_their_modules():
    names = [str(volume) for volume in program_of(models.ResNet20(num_classes=10)).volumes]
    assert names[:3] == ["Conv_0", "BatchNorm_0", "relu"]
    assert names[-7:] == [
        "Block_8/Conv_0", "Block_8/BatchNorm_0", "Block_8 relu", "Block_8/Conv_1",
        "Block_8/BatchNorm_1", "Block_8", "Block_8 relu",
    ]  # fmt: skip


def test_a_net_without_convolutions_has_no_volumes():
    assert program_of(models.MLP(num_classes=10)).volumes == ()


def test_any_function_of_images_works():
    kernel = volumes(3, 3, 3, 5)

    def apply(kernel, images):
        numbers = ("NHWC", "HWIO", "NHWC")
        centred = images - images.mean()
        out = jax.lax.conv_general_dilated(
            centred, kernel, (1, 1), "SAME", dimension_numbers=numbers
        )
        return nn.relu(out).mean((1, 2))

    program = Program(apply, kernel, volumes(2, 6, 6, 3))
    assert [str(volume) for volume in program.volumes] == ["conv_general_dilated", "relu"]


def overview_of(model, most):
    program = program_of(model)
    shown = overview(program.volumes, most)
    assert shown == sorted(set(shown)) and len(shown) <= most
    assert shown[-1] == len(program.volumes) - 1
    return [str(program.volumes[number]) for number in shown]


def test_an_overview_shows_all_or_the_outermost_modules_or_some_of_them():
    assert len(overview_of(models.ConvNet(num_classes=10), 15)) == 15
    blocks = [f"Block_{number} relu" for number in range(9)]
    assert overview_of(models.ResNet20(num_classes=10), 15) == [
        "Conv_0", "BatchNorm_0", "relu", *blocks,
    ]  # fmt: skip
    assert overview_of(models.ResNet20(num_classes=10), 11) == ["relu", *blocks]
    assert overview_of(models.ResNet20(num_classes=10), 3) == ["relu", blocks[3], blocks[8]]
    assert set(overview_of(models.VGG16(num_classes=10), 15)) == {"relu", "max pool"}


class Attentive(nn.Module):
    @nn.compact
    def __call__(self, image, *, train):
        x = nn.relu(nn.Conv(8, (3, 3), strides=4)(image))
        tokens = nn.MultiHeadDotProductAttention(num_heads=2)(x.reshape(len(x), -1, 8))
        return nn.Dense(4)(tokens.mean(axis=1))


def test_positions_by_heads_are_no_volume():
    assert [str(volume) for volume in program_of(Attentive()).volumes] == ["Conv_0", "relu"]

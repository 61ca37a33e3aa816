"""The residual and dense families: shortcuts, volume shapes and gradients."""

from __future__ import annotations

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled, volumes

from cnn_jax import models, ops
from cnn_jax.models import preact_resnet, pyramidnet, resnet50, resnext, senet, wideresnet
from cnn_jax.models.densenet import DenseLayer, Transition

SMALLEST = {
    "bottleneck": models.BottleneckResNet(blocks=(1, 1), width=4, num_classes=3),
    "staged pre-activation": models.StagedPreActResNet(blocks=(1, 1), width=4, num_classes=3),
    "pre-activation": models.PreActResNet(depth=11, width=4, num_classes=3),
    "wide": models.WideResNet(depth=10, widen=1, dropout=0.3, num_classes=3),
    "dense": models.DenseNet(blocks=(2, 1), growth=4, num_classes=3),
    "grouped": models.ResNeXt(depth=11, cardinality=2, group_width=4, num_classes=3),
    "squeezed": models.SEResNet(blocks=(1, 1), width=8, reduction=2, num_classes=3),
    "pyramid": models.PyramidNet(depth=8, alpha=9, num_classes=3),
    "shaken": models.ShakeShake(depth=8, width=8, num_classes=3),
}


def normalised(x):
    """The output of an untrained norm: mean 0, variance 1, epsilon 1e-5."""
    return x / np.sqrt(1 + 1e-5)


# In a pyramid, norms follow these biases without a nonlinearity and cancel them.
WITHOUT_EFFECT = r"pyramid \['BatchNorm_0'\]\['bias'\]|pyramid .*\['BatchNorm_2'\]\['bias'\]"
# Each program runs once, so compile time matters most.
FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@pytest.mark.parametrize("name", SMALLEST)
def test_every_parameter_of_the_smallest_net_has_a_gradient(name):
    model = SMALLEST[name]
    images, labels = volumes(6, 8, 8, 3), jnp.array([0, 1, 2, 0, 1, 2])
    variables = filled(model, images, train=False)

    def loss(params, key):
        scores, _ = model.apply(
            {**variables, "params": params},
            images,
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        return -jnp.take_along_axis(nn.log_softmax(scores), labels[:, None], 1).mean()

    gradient = jax.jit(jax.grad(loss), compiler_options=FAST_COMPILE)
    # Stock convolutions compile faster; for grouped ones this package's must be used.
    with ops.stock(name != "grouped"):
        made = gradient(variables["params"], jax.random.key(1, impl="rbg"))
    for path, of_parameter in jax.tree_util.tree_flatten_with_path(made)[0]:
        where = f"{name} {jax.tree_util.keystr(path)}"
        assert np.isfinite(of_parameter).all(), where
        moves = float(abs(of_parameter).max()) > 1e-6
        assert moves != bool(re.fullmatch(WITHOUT_EFFECT, where)), where


PASSING = {
    "wide": (wideresnet.WideBlock(width=4, stride=1), "before"),
    "pre-activation": (preact_resnet.PreActBlock(width=4, stride=1), "before"),
    "pre-activation bottleneck": (preact_resnet.PreActBottleneck(width=1, stride=1), "before"),
    "squeezed": (senet.SEBlock(width=4, stride=1, reduction=2), "before"),
    "pyramid": (pyramidnet.BasicBlock(width=4, stride=1), "before"),
    "pyramid bottleneck": (pyramidnet.Bottleneck(width=1, stride=1), "before"),
    "bottleneck": (resnet50.Bottleneck(width=1, stride=1), "after"),
    "grouped": (resnext.Bottleneck(groups=2, width=2, depth=4, stride=1), "after"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_block_whose_convolutions_output_zeros_returns_its_input(name):
    """As it is where activations come before the convolutions; else through the last ReLU."""
    block, activation = PASSING[name]
    x = volumes(2, 5, 6, 4)
    out = block.apply(filled(block, x, seed=None, train=False), x, train=False)
    np.testing.assert_array_equal(out, x if activation == "before" else np.maximum(x, 0))


CHANGING = {
    "wide": wideresnet.WideBlock(width=6, stride=2),
    "pre-activation": preact_resnet.PreActBlock(width=6, stride=2),
    "squeezed": senet.SEBlock(width=6, stride=2, reduction=2),
}


@pytest.mark.parametrize("name", CHANGING)
def test_the_shortcut_of_a_changed_volume_takes_the_activated_input(name):
    block, x, kernel = CHANGING[name], volumes(2, 5, 6, 4), volumes(1, 1, 4, 6, seed=1)
    variables = filled(block, x, seed=None, train=False)
    params = variables["params"]
    params["BatchNorm_0"]["scale"] = jnp.ones(4)
    params["Conv_2"]["kernel"] = jnp.asarray(kernel)
    expected = np.maximum(normalised(x), 0)[:, ::2, ::2] @ kernel[0, 0]
    out = block.apply(variables, x, train=False)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("block", "depth"),
    [
        (resnet50.Bottleneck(width=2, stride=2), 8),
        (resnext.Bottleneck(groups=2, width=4, depth=6, stride=2), 6),
    ],
)
def test_the_shortcut_of_a_bottleneck_takes_the_input_and_is_normalised(block, depth):
    x, kernel = volumes(2, 5, 6, 4), volumes(1, 1, 4, depth, seed=1)
    variables = filled(block, x, seed=None, train=False)
    params = variables["params"]
    params["BatchNorm_3"]["scale"] = jnp.ones(depth)
    params["Conv_3"]["kernel"] = jnp.asarray(kernel)
    expected = np.maximum(normalised(x[:, ::2, ::2] @ kernel[0, 0]), 0)
    out = block.apply(variables, x, train=False)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_dropout_is_between_the_convolutions_of_a_wide_block():
    """Where the second norm gives 1 everywhere, the second convolution sees 0 or 1 / (1 - rate)."""
    block, x = wideresnet.WideBlock(width=2, stride=1, dropout=0.75), np.zeros((2, 20, 20, 2))
    variables = filled(block, x, seed=None, train=False)
    params = variables["params"]
    params["BatchNorm_1"]["bias"] = jnp.ones(2)
    params["Conv_1"]["kernel"] = jnp.zeros((3, 3, 2, 2)).at[1, 1].set(jnp.eye(2))
    out, _ = block.apply(
        variables, x, train=True, rngs={"dropout": jax.random.key(0)}, mutable=["batch_stats"]
    )
    assert set(np.unique(out)) == {0.0, 4.0}
    assert np.mean(out == 0) == pytest.approx(0.75, abs=0.05)
    np.testing.assert_array_equal(block.apply(variables, x, train=False), np.ones_like(x))


def kernels(model, image=(32, 32, 3)):
    """The shapes of a net's kernels by path, "Block_0/Conv_0"."""
    shape = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    with ops.stock():
        made = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), shape)
    paths = jax.tree_util.tree_flatten_with_path(made["params"])[0]
    return {
        "/".join(entry.key for entry in path[:-1]): leaf.shape
        for path, leaf in paths
        if path[-1].key == "kernel"
    }


def outputs(model, kinds, image=(32, 32, 3)):
    """The output shapes of a net's submodules of these classes, by name."""
    shape = jax.ShapeDtypeStruct((1, *image), jnp.float32)

    def run(x):
        variables = model.init(jax.random.key(0), x, train=False)
        return model.apply(
            variables, x, train=False, capture_intermediates=lambda m, _: isinstance(m, kinds)
        )[1]["intermediates"]

    with ops.stock():
        made = jax.eval_shape(run, shape)
    return {name: part["__call__"][0].shape[1:] for name, part in made.items()}


def test_the_volumes_of_a_dense_net_by_hand():
    """Twice 4 channels, 4 more with each layer; the transitions keep half of 20 and half of 18."""
    model = models.DenseNet(blocks=(3, 2, 1), growth=4, num_classes=5)
    assert outputs(model, (DenseLayer, Transition), (9, 12, 3)) == {
        "DenseLayer_0": (9, 12, 4),
        "DenseLayer_1": (9, 12, 4),
        "DenseLayer_2": (9, 12, 4),
        "Transition_0": (4, 6, 10),
        "DenseLayer_3": (4, 6, 4),
        "DenseLayer_4": (4, 6, 4),
        "Transition_1": (2, 3, 9),
        "DenseLayer_5": (2, 3, 4),
    }
    made = kernels(model, (9, 12, 3))
    assert [made[f"DenseLayer_{n}/Conv_0"][2] for n in range(6)] == [8, 12, 16, 10, 14, 9]
    assert made["DenseLayer_4/Conv_0"] == (1, 1, 14, 16)
    assert made["DenseLayer_4/Conv_1"] == (3, 3, 16, 4)
    assert made["Dense_0"] == (13, 5)


@pytest.mark.slow
def test_moments_computed_once_train_a_dense_net_as_its_own_norms_do():
    model, x = models.DenseNet(blocks=(3, 1), growth=4, num_classes=5), volumes(4, 6, 6, 3)
    variables = filled(model, x, train=False)

    def train(params, stock):
        with ops.stock(stock):
            scores, new = model.apply(
                variables | {"params": params}, x, train=True, mutable=["batch_stats"]
            )
        return (scores**2).sum(), new

    mine, theirs = (
        jax.value_and_grad(train, has_aux=True)(variables["params"], stock)
        for stock in (False, True)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max()),
        mine,
        theirs,
    )


def test_a_transition_averages_two_by_two_pixels():
    x = volumes(2, 4, 6, 4)
    transition = Transition(compression=0.5)
    variables = filled(transition, x, seed=None, train=False)
    variables["params"]["BatchNorm_0"]["scale"] = jnp.ones(4)
    variables["params"]["Conv_0"]["kernel"] = jnp.eye(4, 2)[None, None]
    active = np.maximum(normalised(x), 0)[..., :2]
    expected = active.reshape(2, 2, 2, 3, 2, 2).mean((2, 4))
    np.testing.assert_allclose(
        transition.apply(variables, x, train=False), expected, rtol=1e-5, atol=1e-6
    )


def test_squeeze_and_excitation_scales_channels_by_their_means():
    x, layer = volumes(3, 4, 5, 6), senet.SqueezeExcitation(reduction=2)
    params = filled(layer, x)["params"]
    out = np.asarray(layer.apply({"params": params}, x))
    means = x.mean((1, 2))
    hidden = np.maximum(means @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"], 0)
    logits = hidden @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]
    scale = 1 / (1 + np.exp(-logits))
    assert hidden.shape == (3, 3)
    assert (scale > 0).all() and (scale < 1).all() and np.ptp(scale) > 0.01
    np.testing.assert_allclose(out, x * scale[:, None, None], rtol=1e-4, atol=1e-5)


def test_a_pyramid_widens_by_the_same_share_with_every_block():
    """9 blocks add 12 / 9 each to 16: 17.33, 18.67, 20, ... rounded; the 4th and the 7th halve."""
    model = models.PyramidNet(depth=20, alpha=12, num_classes=5)
    made = outputs(model, pyramidnet.BasicBlock, (13, 8, 3)).values()
    sides = [(13, 8)] * 3 + [(7, 4)] * 3 + [(4, 2)] * 3
    depths = [17, 19, 20, 21, 23, 24, 25, 27, 28]
    assert list(made) == [(*side, depth) for side, depth in zip(sides, depths, strict=True)]

    model = models.PyramidNet(depth=20, alpha=12, bottleneck=True, num_classes=5)
    made = outputs(model, pyramidnet.Bottleneck, (13, 8, 3)).values()
    sides = [(13, 8)] * 2 + [(7, 4)] * 2 + [(4, 2)] * 2
    depths = [72, 80, 88, 96, 104, 112]
    assert list(made) == [(*side, depth) for side, depth in zip(sides, depths, strict=True)]


def test_the_shortcut_of_a_pyramid_averages_and_adds_zero_channels():
    x, block = volumes(2, 5, 6, 3), pyramidnet.BasicBlock(width=5, stride=2)
    out = block.apply(filled(block, x, seed=None, train=False), x, train=False)
    expected = np.zeros((2, 3, 3, 5), np.float32)
    for row, column in np.ndindex(3, 3):
        tile = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        expected[:, row, column, :3] = tile.mean((1, 2))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_the_groups_of_a_resnext_see_their_own_channels():
    made = kernels(models.ResNeXt29_8x64d(num_classes=10))
    groups = [shape for path, shape in made.items() if path.endswith("/Conv_1")]
    assert groups == [(3, 3, 64 * s, 8 * 64 * s) for s in (1, 2, 4) for _ in range(3)]
    ends = [shape for path, shape in made.items() if path.endswith("/Conv_2")]
    assert ends == [(1, 1, 512 * s, 256 * s) for s in (1, 2, 4) for _ in range(3)]
    assert made["Conv_0"] == (3, 3, 3, 64)
    assert kernels(models.ResNeXt29_2x64d(num_classes=10))["Conv_0"] == (1, 1, 3, 64)


@pytest.mark.parametrize(
    "model",
    [
        models.WRN16_8,
        models.ResNet50,
        models.DenseNetBC40_12,
        models.DenseNet121,
        models.ResNeXt29_2x64d,
        models.PyramidNet110_a84,
    ],
)
def test_the_number_in_the_name_is_that_of_the_layers(model):
    """The wide nets count the shortcuts and not the scores, the others the other way round."""
    shortcuts = "Conv_3"  # of bottlenecks; no other block here has a fourth convolution
    made = [path for path in kernels(model(num_classes=10)) if not path.endswith(shortcuts)]
    name = model.__name__
    assert len(made) == int(re.search(r"\d+", name)[0]) + name.startswith("WRN")


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: models.BottleneckResNet(blocks=(2, 0)), r"blocks\[1\]"),
        (lambda: models.ResNet50(width=0), "width"),
        (lambda: models.StagedPreActResNet(blocks=(-1,)), r"blocks\[0\]"),
        (lambda: models.PreActResNet(depth=165), "depth"),
        (lambda: models.PreActResNet(depth=2), "depth"),
        (lambda: models.WideResNet(depth=17), "depth"),
        (lambda: models.WideResNet(depth=4), "depth"),
        (lambda: models.WRN16_4(dropout=1.0), "dropout"),
        (lambda: models.WideResNet(widen=0), "widen"),
        (lambda: models.DenseNet(growth=0), "growth"),
        (lambda: models.DenseNet(compression=1.5), "compression"),
        (lambda: models.DenseNet(compression=0.0), "compression"),
        (lambda: models.DenseNet121(num_classes=0), "num_classes"),
        (lambda: models.ResNeXt(depth=28), "depth"),
        (lambda: models.ResNeXt(cardinality=0), "cardinality"),
        (lambda: models.SEResNet18(reduction=0), "reduction"),
        (lambda: models.PyramidNet(depth=111), "depth"),
        (lambda: models.PyramidNet(depth=110, bottleneck=True, shakedrop=1.0), "shakedrop"),
        (lambda: models.PyramidNet(depth=14, bottleneck=True), "depth"),
        (lambda: models.PyramidNet(alpha=-1), "alpha"),
        (lambda: models.ShakeShake(depth=27), "depth"),
        (lambda: models.ShakeShake(width=0), "width"),
    ],
)
def test_impossible_fields_are_named(build, field):
    with pytest.raises(ValueError, match=f"^{field} must"):
        build()

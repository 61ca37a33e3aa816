"""The published families: scores against PyTorch definitions, and gradients of every parameter."""

from __future__ import annotations

import functools
import re

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

from cnn_jax import models
from cnn_jax.models import (
    googlenet,
    imagenet_googlenet,
    imagenet_mobilenetv2,
    mobilenet,
    mobilenetv2,
)

# Compiled in half the time: each program here runs once.
jit = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)


def drawn(model, image, *, kernel=lambda k: k, bias=0.0):
    """Variables of a model, drawn by NumPy; biases and scales are perturbed, so none is trivial."""
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    random = np.random.default_rng(0)

    def draw(path, leaf):
        if path[-1].key == "kernel":
            scale = np.sqrt(2 / np.prod(leaf.shape[:-1]))
            return kernel(scale * random.standard_normal(leaf.shape)).astype(np.float32)
        start = {"bias": bias, "scale": 1, "var": 1}.get(path[-1].key, 0)
        return (start + random.uniform(0, 0.3, leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def images(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


# Each family's smallest member, and the side of the images that it is shown.
NETS = {
    "AlexNet": (models.AlexNet(num_classes=4), 32),
    "AlexNet2012": (models.AlexNet2012(hidden=16, num_classes=4), 67),
    "AlexNet2014": (models.AlexNet2014(hidden=16, num_classes=4), 63),
    "ImageNetVGG": (models.ImageNetVGG11(hidden=16, num_classes=4), 32),
    "ImageNetGoogLeNet": (models.ImageNetGoogLeNet(num_classes=4), 48),
    "ImageNetMobileNetV2": (models.ImageNetMobileNetV2(width=0.25, num_classes=4), 24),
    "ZFNet": (models.ZFNet(hidden=16, num_classes=4), 15),
    "NIN": (models.NIN(num_classes=4), 8),
    "AllCNN": (models.AllCNN(width=8, num_classes=4), 9),
    "VGG": (models.VGG11(width=8, num_classes=4), 32),
    "GoogLeNet": (models.GoogLeNet(num_classes=4), 4),
    "MobileNet": (models.MobileNet(width=0.25, num_classes=4), 8),
    "MobileNetV2": (models.MobileNetV2(width=0.25, num_classes=4), 8),
    "ConvMixer": (models.ConvMixer(width=16, depth=2, num_classes=4), 8),
    "ConvNeXt": (
        models.ConvNeXt(depths=(1, 2), widths=(8, 12), drop_path=0.3, num_classes=4),
        9,
    ),
}
# Fewer and thinner blocks, but each kind of them: a long net takes long to compile.
SHORT = {
    "GoogLeNet": (googlenet, (((8, 4, 8, 4, 6, 5),), ((6, 4, 8, 4, 6, 5),))),
    "ImageNetGoogLeNet": (imagenet_googlenet, (((8, 4, 8, 4, 6, 5),), ((6, 4, 8, 4, 6, 5),), ())),
    "ImageNetMobileNetV2": (imagenet_mobilenetv2, ((1, 64, 1, 1), (2, 96, 2, 2))),
    "MobileNet": (mobilenet, ((40, 1, 1), (60, 2, 2))),
    "MobileNetV2": (mobilenetv2, ((1, 64, 1, 1), (2, 96, 2, 2))),
}
# Scores of the first image, by PyTorch 2, from the same numbers in layers of its own. Those of the
# nets that torchvision has too are in tests/transfer.
SCORES = {
    "AlexNet": [-1.26420, 0.856279, 3.67152, -0.308032],
    "AlexNet2012": [-1.97592, 0.0332960, -3.03874, -0.924068],
    "ZFNet": [-3.07490, 4.37708, 3.19484, -6.08646],
    "NIN": [1.22652, 2.08988, 1.66449, 0.00000],
    "AllCNN": [2.85676, 0.533282, 1.04334, 1.35399],
    "VGG": [-2.34297, -2.96399, -1.68054, 1.68136],
    "GoogLeNet": [-1.28252, -0.805098, -3.04735, -3.90714],
    "MobileNet": [0.403755, 0.122273, -0.0648636, 0.129186],
    "MobileNetV2": [5.04359, 14.0063, -4.60577, 0.714960],
    "ConvMixer": [0.267113, 0.166589, 0.190800, -1.17439],
    "ConvNeXt": [0.206216, 0.0817304, 2.19467, -0.0895011],
}
# What BatchNorm takes out again, since nothing but 1x1 convolutions lies between.
CANCELLED = {
    "VGG": r"Conv_\d/bias",
    "GoogLeNet": r"Conv_\d/bias",
    "MobileNetV2": r"Block_\d+/BatchNorm_[23]/bias",
    "ImageNetMobileNetV2": r"Block_0/BatchNorm_1/bias|Block_[12]/BatchNorm_2/bias",
}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for module, stages in SHORT.values():
        monkeypatch.setattr(module, "STAGES", stages)


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_those_of_pytorch(name):
    model, side = NETS[name]
    image = images(8, side, side, 3)
    scores = jit(lambda v, x: model.apply(v, x, train=False))(drawn(model, image), image)
    np.testing.assert_allclose(scores[0], SCORES[name], atol=1e-4 * max(map(abs, SCORES[name])))


@pytest.mark.parametrize("name", NETS)
def test_a_training_step_reaches_every_parameter(name):
    model, side = NETS[name]
    image, label = images(8, side, side, 3), np.arange(8) % 4
    variables = drawn(model, image)

    @jit
    def gradients(params, image):
        def loss(params):
            scores, _ = model.apply(
                {**variables, "params": params},
                image,
                train=True,
                rngs={"dropout": jax.random.key(0)},
                mutable=["batch_stats"],
            )
            return optax.losses.softmax_cross_entropy_with_integer_labels(scores, label).mean()

        return jax.grad(loss)(params)

    found, _ = jax.tree_util.tree_flatten_with_path(gradients(variables["params"], image))
    size = {"/".join(entry.key for entry in path): float(abs(g).max()) for path, g in found}
    assert np.isfinite(list(size.values())).all()
    cancelled = {path for path in size if re.search(CANCELLED.get(name, "^$"), path)}
    assert bool(cancelled) == (name in CANCELLED)
    for path, largest in size.items():
        assert (largest > 1e-6 * max(size.values())) != (path in cancelled), (path, largest)


@pytest.mark.parametrize(
    ("model", "side", "rates"),
    [
        (models.NIN(num_classes=4), 12, [0.5, 0.5]),
        (models.AllCNN(width=8, num_classes=4), 12, [0.2, 0.5, 0.5]),
        (models.ZFNet(hidden=256, num_classes=4), 15, [0.5, 0.5]),
    ],
    ids=["NIN", "AllCNN", "ZFNet"],
)
def test_dropout_applies_its_rate_only_in_training(model, side, rates):
    """All activations are positive, except for those that are dropped."""
    image = abs(images(16, side, side, 3))
    variables = drawn(model, image, kernel=abs, bias=20)

    @jit
    def both(variables, image):
        dropped = {
            "capture_intermediates": lambda module, _: isinstance(module, nn.Dropout),
            "mutable": ["intermediates", "batch_stats"],
            "rngs": {"dropout": jax.random.key(0)},
        }
        return [
            model.apply(variables, image, train=train, **dropped)[1]["intermediates"]
            for train in (True, False)
        ]

    in_training, in_evaluation = both(variables, image)
    shares = [float((leaf == 0).mean()) for leaf in jax.tree.leaves(in_training)]
    np.testing.assert_allclose(shares, rates, atol=0.04)
    assert all((leaf > 0).all() for leaf in jax.tree.leaves(in_evaluation))


def test_nin_pools_clip_their_windows_at_the_edge():
    """3x3 at stride 2, the last cut off at the edge where the side is even."""
    model, image = models.NIN(num_classes=4), images(2, 12, 7, 3)
    names = ("Conv_2", "Dropout_0", "Conv_5", "Dropout_1")

    @jit
    def run(variables, image):
        return model.apply(
            variables,
            image,
            train=False,
            capture_intermediates=lambda module, _: module.name in names,
            mutable=["intermediates"],
        )

    scores, seen = run(drawn(model, image), image)
    before, largest, between, mean = (
        np.asarray(seen["intermediates"][name]["__call__"][0]) for name in names
    )
    for volume, pooled, function in ((before, largest, np.max), (between, mean, np.mean)):
        rows, columns = volume.shape[1] // 2, volume.shape[2] // 2
        assert pooled.shape[1:3] == (rows, columns)
        for r, c in np.ndindex(rows, columns):
            window = np.maximum(volume, 0)[:, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3]
            np.testing.assert_allclose(pooled[:, r, c], function(window, (1, 2)), rtol=1e-4)
    assert (scores >= 0).all()


def test_convnext_blocks_begin_as_almost_nothing():
    model, image = models.ConvNeXt(depths=(2,), widths=(8,), num_classes=4), images(2, 8, 8, 3)
    params = jit(lambda x: model.init(jax.random.key(0), x, train=False))(image)["params"]

    @jit
    def branches(params):
        _, seen = model.apply({"params": params}, image, train=False, capture_intermediates=True)
        names = ("LayerNorm_0", "Block_0", "Block_1")
        begin, middle, end = (seen["intermediates"][name]["__call__"][0] for name in names)
        return abs(middle - begin).max(), abs(end - middle).max()

    assert (params["Block_0"]["layer_scale"] == 1e-6).all()
    assert max(branches(params)) < 1e-6
    large = {"layer_scale": np.full(8, 100, np.float32)}
    assert branches({**params, "Block_1": {**params["Block_1"], **large}})[1] > 0.01

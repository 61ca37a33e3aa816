from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import pytest

from cnn_jax import models, ops
from cnn_jax.analysis.structure import forward_flops, layers, parameter_count
from cnn_jax.results import sizes

IMAGE = (32, 32, 3)


def test_lenet_by_hand():
    """Multiply-adds: places x filters x (window x depth) of each convolution, then in x out."""
    convolutions = 28 * 28 * 6 * (5 * 5 * 3) + 10 * 10 * 16 * (5 * 5 * 6)
    connected = 400 * 120 + 120 * 84 + 84 * 10
    assert forward_flops(models.LeNet(num_classes=10), IMAGE) == 2 * (convolutions + connected)


def test_convnet_by_hand():
    pairs = [(32, 3, 16), (16, 16, 32), (8, 32, 64)]  # side, depth before, depth after
    products = sum(side * side * after * 9 * (before + after) for side, before, after in pairs) + (
        1024 * 128 + 128 * 10
    )
    assert forward_flops(models.ConvNet(num_classes=10), IMAGE) == 2 * products


def test_quicknet_by_hand():
    """The convolutions before a pool leave out the odd row and column that it drops."""
    products = 15 * 15 * 48 * (4 * 4 * 3)
    for side, before, after in ((14, 48, 64), (7, 64, 64), (6, 64, 128), (3, 128, 128)):
        products += side * side * after * 9 * before
    products += 128 * 10
    assert forward_flops(models.QuickNet(num_classes=10), IMAGE) == 2 * products == 23_452_672


def test_airbench96_by_hand():
    products = 31 * 31 * 24 * (2 * 2 * 3)
    for side, before, after in ((15, 24, 128), (7, 128, 384), (3, 384, 512)):
        products += 9 * after * ((2 * side) ** 2 * before + 2 * side**2 * after)
    products += 512 * 10
    assert forward_flops(models.Airbench96(num_classes=10), IMAGE) == 2 * products
    names = [layer.name for layer in layers(models.Airbench96(num_classes=10), IMAGE)]
    group = ["conv", "max pool", "norm", "conv", "norm", "conv", "norm"]
    assert [name for name in names if name.endswith("max pool")] == ["max pool"] * 3
    kinds = [layer.kind for layer in layers(models.Airbench96(num_classes=10), IMAGE)]
    assert kinds == ["conv", *[kind.split()[-1] for kind in group] * 3, "pool", "fc"]


@pytest.mark.parametrize(
    ("model", "published"),
    [
        (models.ResNet20, 81.1e6),  # 40.55 M multiply-adds
        (models.ResNet18, 1111e6),  # 0.56 G multiply-adds
    ],
)
def test_operations_as_published(model, published):
    flops = forward_flops(model(num_classes=10), IMAGE)
    assert flops == pytest.approx(published, rel=0.005)


# Deep nets take seconds to trace; of each family the class itself is quick enough.
QUICK = {name for name in models.__all__ if isinstance(getattr(models, name), type)}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in models.__all__]
)
def test_layers_hold_every_parameter_once_and_the_table_of_sizes_says_so(name):
    """`python -m cnn_jax.results.sizes` rewrites the table."""
    size = sizes.table()[name]
    model = getattr(models, name)(num_classes=size.classes)
    with ops.stock():  # shapes are the same, and it is traced faster
        image = jax.numpy.zeros((1, *size.image_shape))
        shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
    counted = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    # Weights that are not trained: those of a whitening layer.
    frozen = shapes.get("batch_stats", {}).get("whitening", {})
    rest = sum(leaf.size for leaf in jax.tree.leaves(frozen))
    found = layers(model, size.image_shape)
    assert sum(layer.weights + layer.biases for layer in found) == counted + rest
    flops = 2 * sum(layer.multiply_adds for layer in found)
    assert (size.parameters, size.forward_flops) == (counted, flops)


def test_the_table_of_sizes_has_every_model_and_no_other():
    assert list(sizes.table()) == models.__all__


def test_larger_images_cost_more_but_share_their_weights():
    model = models.ResNet20(num_classes=10)
    assert parameter_count(model, (64, 64, 3)) == parameter_count(model, IMAGE)
    assert forward_flops(model, (64, 64, 3)) == pytest.approx(
        4 * forward_flops(model, IMAGE), rel=1e-3
    )


class Unusual(nn.Module):
    """A group norm, three scanned blocks, a checkpointed convolution and attention; it sows."""

    scanned: bool = True

    @nn.compact
    def __call__(self, image, *, train):
        x = nn.GroupNorm(2)(nn.Conv(8, (3, 3))(image))
        if self.scanned:
            axes = {"params": 0, "batch_stats": 0}
            blocks = nn.scan(Block, variable_axes=axes, split_rngs={"params": True}, length=3)
            x, _ = blocks()(x, None)
        else:
            for _ in range(3):
                x, _ = Block()(x, None)
        x = nn.remat(nn.Conv)(8, (3, 3))(x)
        self.sow("losses", "square", (x**2).sum())
        tokens = x.reshape(len(x), -1, x.shape[-1])
        tokens = nn.MultiHeadDotProductAttention(num_heads=2, name="attention")(tokens)
        return nn.Dense(10)(tokens.reshape(x.shape).mean(axis=(1, 2)))


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        x = nn.Conv(8, (3, 3))(x)
        return nn.relu(nn.BatchNorm(use_running_average=True)(x)), None


def test_scanned_layers_are_those_of_the_loop():
    scanned, looped = (layers(Unusual(way), (16, 16, 3)) for way in (True, False))
    assert [dataclasses.replace(a, name=b.name) for a, b in zip(scanned, looped, strict=True)] == (
        looped
    )
    blocks = [layer.name for layer in scanned if layer.name.startswith("ScanBlock_0/")]
    parts = ("Conv_0", "BatchNorm_0")
    assert blocks == [f"ScanBlock_0/{part}[{n}]" for n in range(3) for part in parts]
    held = sum(layer.weights + layer.biases for layer in scanned)
    assert held == parameter_count(Unusual(), (16, 16, 3))
    products = 256 * 9 * (3 * 8 + 4 * 8 * 8)  # the convolutions
    products += 4 * 256 * 8 * 8 + 2 * 256 * 256 * 8  # attention: four matrices, and two products
    assert forward_flops(Unusual(), (16, 16, 3)) == 2 * (products + 8 * 10)


def test_attention_sees_the_whole_image():
    found = {layer.name: layer for layer in layers(Unusual(), (16, 16, 3))}
    assert found["GroupNorm_0"].output == (16, 16, 8)
    assert found["attention/query"].receptive_field == (11, 11)
    assert found["attention"].kind == "product" and found["attention"].weights == 0
    assert found["attention/out"].receptive_field == (16, 16)

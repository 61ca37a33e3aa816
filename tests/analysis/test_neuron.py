"""What a neuron sees against gradients, and its output against its patch times its weights."""

from __future__ import annotations

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models, ops
from cnn_jax.analysis.layer_values import TracedNet
from cnn_jax.analysis.neuron import box, neuron, strongest
from cnn_jax.analysis.structure import layers

SIZE = 64  # large enough for the middle to be away from the borders
CONVNET = models.ConvNet(widths=(2, 2, 2), hidden=1, num_classes=2)
LENET = models.LeNet(num_classes=2)
RESNET = models.ResNet(depth=8, width=2, num_classes=2)
# Five layers of each: the first, some after strides, and the last that do not see everything.
SEEN = [
    (CONVNET, ("Conv_0", "Conv_1", "Conv_2", "Conv_3", "Conv_4")),
    (LENET, ("Conv_0", "max pool", "Conv_1", "max pool", "Dense_0")),
    (RESNET, ("Conv_0", "Block_0/Conv_1", "Block_1/Conv_0", "Block_1/Conv_1", "Block_2/Conv_0")),
]


class Unusual(nn.Module):
    """Groups, gaps, strides that differ, padding on one side, and a layer at each pixel."""

    num_classes: int

    @nn.compact
    def __call__(self, image, *, train):
        x = nn.relu(nn.Conv(6, (3, 2), strides=(2, 1), padding=((2, 0), (0, 1)))(image))
        x = nn.relu(nn.Conv(9, (2, 3), kernel_dilation=(2, 1), feature_group_count=3)(x))
        x = nn.relu(nn.Dense(4)(x))
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


def mean_pool(x, window, stride=None):  # every pixel of a window counts, not the largest only
    return nn.avg_pool(x, (window, window), (stride or window,) * 2)


def positive(model, size):
    """Variables with which every product is positive, so that no gradient cancels."""
    image = jnp.ones((1, size, size, 3))
    variables = model.init(jax.random.key(0), image, train=False)
    return jax.tree.map(lambda leaf: 0.1 + jnp.abs(leaf), variables)


def traced(model, variables, shape):
    return TracedNet(lambda v, x: model.apply(v, x, train=False), variables, shape)


def arrays_of(net, variables, image):
    """The activations and the weights of each layer."""
    activations = jax.jit(net.activations)(variables, image)
    return list(zip(activations, jax.jit(net.weights)(variables), strict=True))


def module_outputs(model, variables, image):
    """The output of every module, by Flax itself."""
    _, kept = model.apply(variables, image, train=False, capture_intermediates=True)
    found = {}
    for path, value in jax.tree_util.tree_flatten_with_path(kept["intermediates"])[0]:
        found["/".join(part.key for part in path[:-2])] = value
    return found


@pytest.mark.parametrize(("model", "names"), SEEN)
def test_a_neuron_sees_the_pixels_that_its_value_depends_on(model, names, monkeypatch):
    """In the middle, away from the borders, and in two corners."""
    monkeypatch.setattr(ops, "max_pool", mean_pool)
    size = 32 if model is LENET else SIZE
    variables = positive(model, size)
    net = traced(model, variables, (size, size, 3))
    chosen = [number for number, layer in enumerate(net.layers) if _name(layer) in names][:5]
    assert len(chosen) == 5
    places = []
    for number in chosen:
        height, width, _ = net.layers[number].output
        middle = (height // 2, width // 2 - width // 8)
        places += [(number, *place) for place in (middle, (0, 0), (height - 1, width - 1))]

    def values(image):
        computed = net.activations(variables, image)
        outputs = {n: computed[n]["output"].reshape(net.layers[n].output) for n in chosen}
        found = [outputs[number][row, column, 0] for number, row, column in places]
        return jnp.log(jnp.stack(found))  # keeps the sums of positive terms within range

    image = jnp.ones((1, size, size, 3))
    gradients = np.asarray(jax.jit(jax.jacrev(values))(image))[:, 0].any(axis=-1)
    for (number, row, column), depends in zip(places, gradients, strict=True):
        layer = net.layers[number]
        top, bottom, left, right = box(layer, row, column, (size, size))
        expected = np.zeros((size, size), bool)
        expected[top:bottom, left:right] = True
        np.testing.assert_array_equal(depends, expected, f"{layer.name} at {row}, {column}")
        if row and row < layer.output[0] - 1:
            assert (bottom - top, right - left) == layer.receptive_field


def _name(layer):
    return layer.name.replace("mean", "max")


def test_the_layers_are_those_of_the_volumes_table():
    for model, _ in SEEN:
        found = traced(model, positive(model, 32), (32, 32, 3)).layers
        table = [layer for layer in layers(model, (32, 32, 3)) if layer.kind != "norm"]
        assert list(found) == table


@pytest.mark.parametrize(
    "model",
    [
        models.ConvNet(widths=(4, 6), hidden=5, num_classes=3),
        models.ResNet(depth=8, width=4, num_classes=3),
        Unusual(num_classes=3),
    ],
)
def test_a_neuron_is_its_patch_times_its_weights(model):
    image = jax.random.normal(jax.random.key(1), (1, 16, 16, 3))
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), image)
    net = traced(model, variables, (16, 16, 3))
    arrays = arrays_of(net, variables, image)
    outputs = module_outputs(model, variables, image)
    random = np.random.default_rng(0)
    checked = 0
    for number, layer in enumerate(net.layers):
        if layer.kind == "pool":
            continue
        values = net.values(number, *arrays[number])
        reference = np.asarray(outputs[layer.name]).reshape(layer.output)
        for _ in range(3):
            position = tuple(random.integers(0, layer.output).tolist())
            found = neuron(values, position, (16, 16))
            assert found.weights is not None
            total = (found.patch.astype(np.float64) * found.weights).sum() + found.bias
            assert total == pytest.approx(found.output, rel=1e-4, abs=1e-4)
            assert found.output == pytest.approx(reference[position], rel=1e-4, abs=1e-4)
        checked += 1
    assert checked >= 4


def test_the_volume_is_what_the_next_layer_takes():
    model = models.ConvNet(widths=(4, 6), hidden=5, num_classes=3)
    image = jax.random.normal(jax.random.key(1), (1, 16, 16, 3))
    variables = model.init(jax.random.key(0), image, train=False)
    net = traced(model, variables, (16, 16, 3))
    arrays = arrays_of(net, variables, image)
    all_values = [net.values(number, *each) for number, each in enumerate(arrays)]
    for values, after in itertools.pairwise(all_values):
        np.testing.assert_array_equal(values.volume, after.input.reshape(values.layer.output))
        assert values.layer.kind == "pool" or values.volume.min() >= 0
    scores = np.asarray(model.apply(variables, image, train=False))
    np.testing.assert_allclose(all_values[-1].volume.reshape(1, -1), scores, atol=1e-5)


def test_neurons_of_a_channel_share_their_weights():
    model = models.LeNet(num_classes=3)
    image = jax.random.normal(jax.random.key(1), (1, 32, 32, 3))
    variables = model.init(jax.random.key(0), image, train=False)
    net = traced(model, variables, (32, 32, 3))
    values = net.values(0, *arrays_of(net, variables, image)[0])
    one, other = (neuron(values, at, (32, 32)) for at in ((3, 4, 2), strongest(values, 2)))
    np.testing.assert_array_equal(one.weights, variables["params"]["Conv_0"]["kernel"][..., 2])
    np.testing.assert_array_equal(one.weights, other.weights)
    assert one.box == (3, 8, 4, 9)
    np.testing.assert_array_equal(one.patch, np.asarray(image)[0, 3:8, 4:9])
    assert other.activation == values.volume[..., 2].max()


def test_at_the_border_a_neuron_sees_padding():
    model = models.ConvNet(widths=(4,), hidden=5, num_classes=3)
    image = jnp.ones((1, 8, 8, 3))
    variables = model.init(jax.random.key(0), image, train=False)
    net = traced(model, variables, (8, 8, 3))
    found = neuron(net.values(0, *arrays_of(net, variables, image)[0]), (0, 7, 0), (8, 8))
    assert found.box == (0, 2, 6, 8)
    assert found.patch[..., 0].tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 0]]
    with pytest.raises(IndexError, match="no neuron"):
        neuron(net.values(0, *arrays_of(net, variables, image)[0]), (8, 0, 0), (8, 8))


def test_a_sum_of_shifted_paths_sees_both():
    class Shifted(nn.Module):
        @nn.compact
        def __call__(self, image, *, train):
            x = nn.Conv(2, (1, 1))(image[:, ::2, ::2] + image[:, 1::2, 1::2])
            return x.mean((1, 2))

    (first, *_) = layers(Shifted(), (8, 8, 3))
    assert first.receptive_field == (2, 2)
    assert box(first, 1, 3, (8, 8)) == (2, 4, 6, 8)

"""Handwritten PyTorch state dicts are converted to Flax variables."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.errors import UserError
from cnn_jax.transfer.torch_weights import from_torch

IMAGE = (32, 32, 3)


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {n: 0.2 * random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}


def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    entries = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{entry}": (channels,) for entry in entries} | {
        f"{name}.num_batches_tracked": ()
    }


LENET = {
    "conv1.weight": (6, 3, 5, 5),
    "conv1.bias": (6,),
    "conv2.weight": (16, 6, 5, 5),
    "conv2.bias": (16,),
    "fc1.weight": (120, 400),
    "fc1.bias": (120,),
    "fc2.weight": (84, 120),
    "fc2.bias": (84,),
    "fc3.weight": (10, 84),
    "fc3.bias": (10,),
}
RESNET = {
    "conv1.weight": (4, 3, 3, 3),
    **norm("bn1", 4),
    "layer1.0.conv1.weight": (4, 4, 3, 3),
    **norm("layer1.0.bn1", 4),
    "layer1.0.conv2.weight": (4, 4, 3, 3),
    **norm("layer1.0.bn2", 4),
    "layer2.0.conv1.weight": (8, 4, 3, 3),
    **norm("layer2.0.bn1", 8),
    "layer2.0.conv2.weight": (8, 8, 3, 3),
    **norm("layer2.0.bn2", 8),
    "layer2.0.shortcut.0.weight": (8, 4, 1, 1),
    **norm("layer2.0.shortcut.1", 8),
    "linear.weight": (7, 8),
    "linear.bias": (7,),
}
SMALL = models.StagedResNet(blocks=(1, 1), width=4, num_classes=7)


def convolved(x, weight, bias):
    """PyTorch's conv2d without padding: [B,C,H,W] -> [B,O,H',W']."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return np.einsum("bchwij,ocij->bohw", windows, weight) + bias[:, None, None]


def pooled(x):
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height // 2, 2, width // 2, 2).max((3, 5))


def test_lenet_gives_the_scores_that_pytorch_defines():
    """PyTorch flattens C,H,W and Flax H,W,C."""
    state = drawn(LENET)
    images = np.random.default_rng(1).standard_normal((3, *IMAGE)).astype(np.float32)
    x = images.transpose(0, 3, 1, 2)
    for layer in ("conv1", "conv2"):
        x = pooled(np.maximum(convolved(x, state[f"{layer}.weight"], state[f"{layer}.bias"]), 0))
    x = x.reshape(len(x), -1)
    for layer in ("fc1", "fc2", "fc3"):
        x = x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]
        x = x if layer == "fc3" else np.maximum(x, 0)
    model = models.LeNet(num_classes=10)
    scores = model.apply(from_torch(state, model, IMAGE), images, train=False)
    np.testing.assert_allclose(scores, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("names", ["kuangliu", "torchvision"])
def test_a_residual_net_gets_each_array_at_the_right_path(names):
    state = drawn(RESNET)
    if names == "torchvision":
        state = {
            name.replace("shortcut", "downsample").replace("linear", "fc"): array
            for name, array in state.items()
        }
    variables = from_torch(state, SMALL, IMAGE)
    state = drawn(RESNET)
    block, statistics = (variables[kind]["BasicBlock_1"] for kind in ("params", "batch_stats"))
    shortcut = state["layer2.0.shortcut.0.weight"]
    np.testing.assert_array_equal(block["Conv_2"]["kernel"][0, 0], shortcut[:, :, 0, 0].T)
    second = state["layer2.0.conv2.weight"]
    np.testing.assert_array_equal(block["Conv_1"]["kernel"][2, 0, 5, 3], second[3, 5, 2, 0])
    np.testing.assert_array_equal(
        block["BatchNorm_2"]["scale"], state["layer2.0.shortcut.1.weight"]
    )
    np.testing.assert_array_equal(block["BatchNorm_1"]["bias"], state["layer2.0.bn2.bias"])
    running = state["layer2.0.bn1.running_var"]
    np.testing.assert_array_equal(statistics["BatchNorm_0"]["var"], running)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"layer2.0.shortcut.0.weight": None}, "layer2.0.shortcut.0.weight"),
        ({"layer3.0.conv1.weight": (16, 8, 3, 3)}, "layer3.0.conv1.weight"),
        ({"linear.weight": (7, 9)}, r"linear.weight .*\[7, 9\].*\[8, 7\]"),
        ({"linear.weight": None}, "linear.weight"),
    ],
)
def test_an_array_that_does_not_fit_is_named(change, named):
    shapes = {name: shape for name, shape in (RESNET | change).items() if shape is not None}
    with pytest.raises(UserError, match=named):
        from_torch(drawn(shapes), SMALL, IMAGE)


def test_an_unsupported_family_is_an_error_that_lists_the_supported_ones():
    with pytest.raises(UserError, match=r"ConvNet.*supported are .*LeNet.*ResNet18"):
        from_torch({}, models.ConvNet(num_classes=10), IMAGE)

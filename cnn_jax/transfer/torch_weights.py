"""Converts a PyTorch state dict to the variables of the same net in Flax.

Supported names are those of github.com/kuangliu/pytorch-cifar, and of torchvision for the nets on
ImageNet and all residual nets, where "shortcut" is called "downsample" and "linear" "fc".
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import config, models, ops
from cnn_jax.analysis import structure
from cnn_jax.config.names import NAMES
from cnn_jax.errors import UserError
from cnn_jax.models import googlenet, imagenet_mobilenetv2, mobilenet, mobilenetv2, vgg

# PyTorch's name of each leaf of a Flax module.
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
# The classifiers that torchvision's GoogLeNet has for training alone.
AUXILIARY = ("aux1.", "aux2.")


def from_torch(
    state: Mapping[str, np.ndarray], model: nn.Module, image_shape: tuple[int, int, int]
) -> dict[str, Any]:
    """The variables of a model with the weights of a PyTorch net.

    Args:
      state: The state dict, as NumPy arrays.
      model: The same net in Flax; its number of classes is taken from the weights.
      image_shape: Height, width and channels of the images.

    Returns:
      `params` and `batch_stats`, float32.

    Raises:
      UserError: the model's PyTorch names are unknown, or a weight is missing, unused or of another
        shape; the message names the first.
    """
    for wrapper in ("_orig_mod.", "module."):  # of torch.compile and of data-parallel training
        if all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): array for name, array in state.items()}
    if isinstance(model, models.ImageNetGoogLeNet):
        state = {name: a for name, a in state.items() if not name.startswith(AUXILIARY)}
    prefixes = list(torch_names(model))
    last = f"{_known(prefixes[-1], state)}.weight"
    if last not in state:
        raise UserError(f"the PyTorch weights have no {last}")
    if np.ndim(state[last]) == 0:
        raise UserError(f"{last} of the PyTorch weights is a scalar, not a matrix")
    model = model.clone(num_classes=len(state[last]))
    layers = [
        layer for layer in structure.layers(model, image_shape) if layer.weights + layer.biases
    ]
    if len(prefixes) != len(layers):
        raise UserError(
            f"{config.to_text(model, NAMES)} has {len(layers)} layers with weights, but "
            f"{len(prefixes)} names for them in PyTorch"
        )
    sources = {
        tuple(layer.name.split("/")): (prefix, layer.input)
        for layer, prefix in zip(layers, prefixes, strict=True)
    }
    used: set[str] = set()

    def convert(path, leaf):
        keys = [entry.key for entry in path]
        prefix, volume = sources[tuple(keys[1:-1])]
        name = f"{_known(prefix, state)}.{LEAVES[keys[-1]]}"
        if name not in state:
            raise UserError(f"the PyTorch weights have no {name}, for {'/'.join(keys)}")
        used.add(name)
        array = _transposed(np.asarray(state[name], np.float32), leaf.ndim, volume)
        if array.shape != leaf.shape:
            raise UserError(
                f"{name} of the PyTorch weights has the shape {list(state[name].shape)}, which "
                f"does not fit {list(leaf.shape)} of {'/'.join(keys)}"
                + _other_stem(model, prefix, state[name])
            )
        return array

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with ops.stock():  # shapes are the same, and it is traced faster
        shapes = jax.eval_shape(
            lambda image: model.init(jax.random.key(0), image, train=False), images
        )
    variables = jax.tree_util.tree_map_with_path(convert, shapes)
    unused = [n for n in state if n not in used and not n.endswith("num_batches_tracked")]
    if unused:
        raise UserError(
            f"{config.to_text(model, NAMES)} has no layer for {unused[0]} of the PyTorch weights"
        )
    return {"batch_stats": {}, **variables}


def _transposed(array: np.ndarray, ndim: int, volume: tuple[int, int, int]) -> np.ndarray:
    """PyTorch's axes in Flax's order: OIHW -> HWIO; OI -> IO, where I is C,H,W or H,W,C flattened.

    Returns an array that does not fit unchanged, for the message about its shape.
    """
    if ndim == 4:
        return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    if ndim == 2:
        height, width, depth = volume
        filters = array.shape[0]
        if array.size != filters * height * width * depth:
            return array
        array = array.reshape(filters, depth, height, width)
        return array.transpose(2, 3, 1, 0).reshape(-1, filters)
    return array


def _other_stem(model: nn.Module, prefix: str, kernel: np.ndarray) -> str:
    """Advice where the weights are those of a residual net with the other stem."""
    stem = {3: "cifar", 7: "imagenet"}.get(kernel.shape[-1] if kernel.ndim == 4 else 0)
    if prefix != "conv1" or stem is None or getattr(model, "stem", stem) == stem:
        return ""
    return f"; set model.stem={stem}"


def _known(prefix: str, state: Mapping[str, np.ndarray]) -> str:
    """The prefix, or torchvision's name for it if the state dict has that one."""
    other = prefix.replace("shortcut", "downsample").replace("linear", "fc")
    return other if f"{other}.weight" in state and f"{prefix}.weight" not in state else prefix


@functools.singledispatch
def torch_names(model: nn.Module) -> Iterator[str]:
    """PyTorch's name of each layer with weights, in the order of computation."""
    families = [
        config.to_text(make(), NAMES) for make in torch_names.registry if make is not object
    ]
    raise UserError(
        f"PyTorch weights can't be loaded into {config.to_text(model, NAMES)}; supported are the "
        f"families of {', '.join(sorted(families))}"
    )


@torch_names.register
def _lenet(model: models.LeNet) -> Iterator[str]:
    yield from ("conv1", "conv2", "fc1", "fc2", "fc3")


@torch_names.register
def _vgg(model: models.VGG) -> Iterator[str]:
    index = 0
    for convolutions in vgg.STAGES[model.depth]:
        for _ in range(convolutions):
            yield from (f"features.{index}", f"features.{index + 1}")
            index += 3  # with the ReLU
        index += 1  # the pool
    yield "classifier"


@torch_names.register
def _resnet(
    model: models.StagedResNet | models.BottleneckResNet | models.ResNeXt,
) -> Iterator[str]:
    bottleneck = not isinstance(model, models.StagedResNet)
    parts = ("conv1", "bn1", "conv2", "bn2", *(("conv3", "bn3") if bottleneck else ()))
    blocks = ((model.depth - 2) // 9,) * 3 if isinstance(model, models.ResNeXt) else model.blocks
    yield from ("conv1", "bn1")
    yield from _stages(blocks, parts, ("shortcut.0", "shortcut.1"), first=bottleneck)
    yield "linear"


@torch_names.register
def _preact_resnet(model: models.StagedPreActResNet) -> Iterator[str]:
    deep = ("bn3", "conv3") if model.bottleneck else ()
    parts = ("bn1", "conv1", "bn2", "conv2", *deep)
    yield "conv1"
    yield from _stages(model.blocks, parts, ("shortcut.0",), first=model.bottleneck)
    yield "linear"


@torch_names.register
def _se_resnet(model: models.SEResNet) -> Iterator[str]:
    parts = ("bn1", "conv1", "bn2", "conv2", "fc1", "fc2")
    yield from ("conv1", "bn1")
    yield from _stages(model.blocks, parts, ("shortcut.0",), first=False)
    yield "linear"


@torch_names.register
def _googlenet(model: models.GoogLeNet) -> Iterator[str]:
    branches = ("b1.0", "b1.1", *(f"b2.{n}" for n in (0, 1, 3, 4)))
    branches += (*(f"b3.{n}" for n in (0, 1, 3, 4, 6, 7)), "b4.1", "b4.2")
    yield from ("pre_layers.0", "pre_layers.1")
    for stage, modules in enumerate(googlenet.STAGES, start=3):
        for letter in "abcde"[: len(modules)]:
            yield from (f"{letter}{stage}.{branch}" for branch in branches)
    yield "linear"


@torch_names.register
def _mobilenet(model: models.MobileNet) -> Iterator[str]:
    yield from ("conv1", "bn1")
    for block in range(sum(blocks for _, blocks, _ in mobilenet.STAGES)):
        yield from (f"layers.{block}.{part}" for part in ("conv1", "bn1", "conv2", "bn2"))
    yield "linear"


@torch_names.register
def _mobilenetv2(model: models.MobileNetV2) -> Iterator[str]:
    yield from ("conv1", "bn1")
    number, depth = 0, 32
    for _, filters, blocks, stride in mobilenetv2.STAGES:
        for block in range(blocks):
            parts = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3"]
            if filters != depth and (block > 0 or stride == 1):
                parts += ["shortcut.0", "shortcut.1"]
            yield from (f"layers.{number}.{part}" for part in parts)
            number, depth = number + 1, filters
    yield from ("conv2", "bn2", "linear")


@torch_names.register
def _imagenet_alexnet(model: models.AlexNet2014) -> Iterator[str]:
    yield from (f"features.{index}" for index in (0, 3, 6, 8, 10))
    yield from ("classifier.1", "classifier.4", "classifier.6")


@torch_names.register
def _imagenet_vgg(model: models.ImageNetVGG) -> Iterator[str]:
    index = 0
    for convolutions in vgg.STAGES[model.depth]:
        yield from (f"features.{index + 2 * number}" for number in range(convolutions))
        index += 2 * convolutions + 1  # with the ReLUs and the pool
    yield from ("classifier.0", "classifier.3", "classifier.6")


@torch_names.register
def _imagenet_googlenet(model: models.ImageNetGoogLeNet) -> Iterator[str]:
    branches = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    convolutions = ["conv1", "conv2", "conv3"]
    for stage, modules in enumerate(googlenet.STAGES, start=3):
        for letter in "abcde"[: len(modules)]:
            convolutions += [f"inception{stage}{letter}.{branch}" for branch in branches]
    for convolution in convolutions:
        yield from (f"{convolution}.conv", f"{convolution}.bn")
    yield "fc"


@torch_names.register
def _imagenet_mobilenetv2(model: models.ImageNetMobileNetV2) -> Iterator[str]:
    yield from ("features.0.0", "features.0.1")
    number = 1
    for expansion, _, blocks, _ in imagenet_mobilenetv2.STAGES:
        for _ in range(blocks):
            places = [f"{place}.{part}" for place in range(1 + (expansion > 1)) for part in (0, 1)]
            end = len(places) // 2
            yield from (
                f"features.{number}.conv.{place}" for place in (*places, str(end), str(end + 1))
            )
            number += 1
    yield from (f"features.{number}.0", f"features.{number}.1", "classifier.1")


def _stages(
    blocks: tuple[int, ...], parts: tuple[str, ...], shortcut: tuple[str, ...], *, first: bool
) -> Iterator[str]:
    """Names in residual stages; `first`: whether the first block of all has a projection."""
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            projected = block == 0 and (stage > 1 or first)
            for part in (*parts, *(shortcut if projected else ())):
                yield f"layer{stage}.{block}.{part}"

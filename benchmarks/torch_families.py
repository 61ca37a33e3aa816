"""More nets of the package in PyTorch, f[B,3,H,W] -> f[B,10], as their papers have them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch_nets import Airbench94, Group, ResNet18, whitening_filters


def conv_norm(depth: int, width: int, window: int, stride: int = 1, **options) -> nn.Sequential:
    """A convolution without bias that keeps the size, and BatchNorm."""
    padding = window // 2
    conv = nn.Conv2d(depth, width, window, stride, padding, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(width))


def norm_conv(depth: int, width: int, window: int, stride: int = 1) -> nn.Sequential:
    """BatchNorm, ReLU and a convolution without bias, as in pre-activation blocks."""
    conv = nn.Conv2d(depth, width, window, stride, window // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(depth), nn.ReLU(inplace=True), conv)


class Scored(nn.Module):
    """Features, their mean over the image, and the scores of ten classes."""

    def __init__(self, features: nn.Module, depth: int):
        super().__init__()
        self.features, self.head = features, nn.Linear(depth, 10)

    def forward(self, image):
        return self.head(self.features(image).mean((2, 3)))


class Bottleneck(nn.Module):
    """1x1, 3x3 (perhaps grouped) and 1x1 convolutions, the last to a greater depth; a shortcut."""

    def __init__(self, depth: int, width: int, stride: int, expansion: int = 4, groups: int = 1):
        super().__init__()
        relu = nn.ReLU(inplace=True)
        self.residual = nn.Sequential(
            *(conv_norm(depth, width, 1), relu),
            *(conv_norm(width, width, 3, stride, groups=groups), relu),
            conv_norm(width, expansion * width, 1),
        )
        same = depth == expansion * width and stride == 1
        self.shortcut = nn.Identity() if same else conv_norm(depth, expansion * width, 1, stride)

    def forward(self, x):
        return F.relu(self.residual(x) + self.shortcut(x), inplace=True)


def resnet50() -> nn.Module:
    """ResNet-50 with a 3x3 stem: 23,520,842 parameters."""
    features: list[nn.Module] = [conv_norm(3, 64, 3), nn.ReLU(inplace=True)]
    depth = 64
    for stage, count in enumerate((3, 4, 6, 3)):
        for block in range(count):
            width = 64 * 2**stage
            features.append(Bottleneck(depth, width, 2 if stage and not block else 1))
            depth = 4 * width
    return Scored(nn.Sequential(*features), depth)


class PreActivated(nn.Module):
    """Two pre-activation 3x3 convolutions, perhaps a further module, and a shortcut."""

    def __init__(self, depth: int, width: int, stride: int, last: nn.Module | None = None):
        super().__init__()
        self.norm = nn.BatchNorm2d(depth)
        self.conv = nn.Conv2d(depth, width, 3, stride, 1, bias=False)
        self.rest = norm_conv(width, width, 3)
        self.last = last or nn.Identity()
        changes = depth != width or stride > 1
        self.shortcut = nn.Conv2d(depth, width, 1, stride, bias=False) if changes else None

    def forward(self, x):
        active = F.relu(self.norm(x))
        y = self.last(self.rest(self.conv(active)))
        return y + (self.shortcut(active) if self.shortcut else x)


def wide_resnet(blocks: int, factor: int) -> nn.Module:
    """A wide ResNet with so many blocks in each of three stages."""
    features: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
    depth = 16
    for stage in range(3):
        for block in range(blocks):
            width = 16 * factor * 2**stage
            features.append(PreActivated(depth, width, 2 if stage and not block else 1))
            depth = width
    features += [nn.BatchNorm2d(depth), nn.ReLU(inplace=True)]
    return Scored(nn.Sequential(*features), depth)


def wrn16_4() -> nn.Module:
    """WRN-16-4: 2,748,890 parameters."""
    return wide_resnet(2, 4)


def wrn28_10() -> nn.Module:
    """WRN-28-10: 36,479,194 parameters."""
    return wide_resnet(4, 10)


class DenseLayer(nn.Module):
    """A 1x1 and a 3x3 convolution, appended to the input."""

    def __init__(self, depth: int, growth: int):
        super().__init__()
        self.new = nn.Sequential(norm_conv(depth, 4 * growth, 1), norm_conv(4 * growth, growth, 3))

    def forward(self, x):
        return torch.cat([x, self.new(x)], 1)


def densenet(growth: int, blocks: tuple[int, ...]) -> nn.Module:
    """A DenseNet-BC: so many layers in each block, half as many channels between blocks."""
    depth = 2 * growth
    features: list[nn.Module] = [nn.Conv2d(3, depth, 3, padding=1, bias=False)]
    for block, count in enumerate(blocks):
        if block:
            features += [norm_conv(depth, depth // 2, 1), nn.AvgPool2d(2)]
            depth //= 2
        for _ in range(count):
            features.append(DenseLayer(depth, growth))
            depth += growth
    features += [nn.BatchNorm2d(depth), nn.ReLU(inplace=True)]
    return Scored(nn.Sequential(*features), depth)


def densenet_bc100_12() -> nn.Module:
    """DenseNet-BC-100-12: 769,162 parameters."""
    return densenet(12, (16, 16, 16))


def densenet121() -> nn.Module:
    """DenseNet-121 with a 3x3 stem: 6,956,298 parameters."""
    return densenet(32, (6, 12, 24, 16))


class Inverted(nn.Module):
    """1x1 expansion, depthwise 3x3, linear 1x1 projection; a shortcut at stride 1."""

    def __init__(self, depth: int, width: int, expansion: int, stride: int):
        super().__init__()
        inside, relu = expansion * depth, nn.ReLU(inplace=True)
        self.residual = nn.Sequential(
            *(conv_norm(depth, inside, 1), relu),
            *(conv_norm(inside, inside, 3, stride, groups=inside), relu),
            conv_norm(inside, width, 1),
        )
        self.shortcut: nn.Module | None = None
        if stride == 1:
            self.shortcut = nn.Identity() if depth == width else conv_norm(depth, width, 1)

    def forward(self, x):
        y = self.residual(x)
        return y if self.shortcut is None else y + self.shortcut(x)


def mobilenetv2() -> nn.Module:
    """MobileNetV2 for small images: 2,296,922 parameters."""
    stages = (
        *((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    )
    features: list[nn.Module] = [conv_norm(3, 32, 3), nn.ReLU(inplace=True)]
    depth = 32
    for expansion, width, blocks, stride in stages:
        for block in range(blocks):
            features.append(Inverted(depth, width, expansion, 1 if block else stride))
            depth = width
    features += [conv_norm(depth, 1280, 1), nn.ReLU(inplace=True)]
    return Scored(nn.Sequential(*features), 1280)


class Mixed(nn.Module):
    """ConvMixer's block: a depthwise 5x5 convolution with a shortcut, and a pointwise one."""

    def __init__(self, width: int):
        super().__init__()
        depthwise = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.space = nn.Sequential(depthwise, nn.GELU(), nn.BatchNorm2d(width))
        self.depth = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width))

    def forward(self, x):
        return self.depth(x + self.space(x))


def convmixer() -> nn.Module:
    """ConvMixer-256/8 with patches of 2x2: 594,186 parameters."""
    stem = nn.Conv2d(3, 256, 2, 2), nn.GELU(), nn.BatchNorm2d(256)
    return Scored(nn.Sequential(*stem, *(Mixed(256) for _ in range(8))), 256)


class QuickNet(nn.Module):
    """The net of the recipe quickstart: airbench94's groups behind 4x4 patches at stride 2."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 48, 4, 2)
        self.stem.weight.requires_grad_(False)
        self.groups = nn.Sequential(Group(48, 64), Group(64, 128))
        self.head = nn.Linear(128, 10, bias=False)

    def forward(self, image):
        x = self.groups(F.gelu(self.stem(image)))
        return self.head(x.amax((2, 3))) / self.head.in_features

    @torch.no_grad()
    def whiten(self, images) -> None:
        """Sets the first layer's filters: the 24 strongest of 4x4 patches, and their negatives."""
        filters = whitening_filters(images, 4)
        half = len(filters) // 2
        strongest = filters[half - 24 : half]
        self.stem.weight.copy_(torch.cat([strongest, -strongest]))


NETS = {
    "cifar10_airbench94": Airbench94,
    "cifar10_resnet18": ResNet18,
    "cifar10_resnet50": resnet50,
    "cifar10_wrn28_10": wrn28_10,
    "cifar10_densenet_bc100_12": densenet_bc100_12,
    "cifar10_mobilenetv2": mobilenetv2,
    "cifar10_convmixer": convmixer,
    "quickstart": QuickNet,
}

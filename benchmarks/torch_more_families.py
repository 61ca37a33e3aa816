"""Nets of github.com/kuangliu/pytorch-cifar in PyTorch, written anew: f[B,3,H,W] -> f[B,10]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch_families import Bottleneck, PreActivated, Scored, conv_norm

WIDTHS = (64, 128, 256, 512)
# Of each Inception module: 1x1; 1x1 and 3x3; 1x1 and 5x5; 1x1 after the pool. None: a pool.
INCEPTIONS = (
    *((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None),
    *((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64)),
    *((112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), None),
    *((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


class Excitation(nn.Module):
    """Scales each channel by a factor that two layers compute from the channels' means."""

    def __init__(self, width: int):
        super().__init__()
        self.hidden, self.scale = nn.Conv2d(width, width // 16, 1), nn.Conv2d(width // 16, width, 1)

    def forward(self, x):
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.scale(F.relu(self.hidden(means))))


def _pre_activated(stem: nn.Module, excites: bool) -> nn.Module:
    features, depth = [stem], 64
    for stage, width in enumerate(WIDTHS):
        for block in range(2):
            stride = 2 if stage and not block else 1
            last = Excitation(width) if excites else None
            features.append(PreActivated(depth, width, stride, last))
            depth = width
    return Scored(nn.Sequential(*features), depth)


def preact_resnet18() -> nn.Module:
    """PreActResNet-18, without a last norm: 11,171,146 parameters."""
    return _pre_activated(nn.Conv2d(3, 64, 3, padding=1, bias=False), excites=False)


def se_resnet18() -> nn.Module:
    """SE-ResNet-18 of pre-activation blocks: 11,260,354 parameters."""
    stem = nn.Sequential(conv_norm(3, 64, 3), nn.ReLU(inplace=True))
    return _pre_activated(stem, excites=True)


def _biased(depth: int, width: int, window: int) -> list[nn.Module]:
    """A convolution with a bias that keeps the size, BatchNorm and ReLU."""
    conv = nn.Conv2d(depth, width, window, padding=window // 2)
    return [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


def vgg16() -> nn.Module:
    """VGG-16 with BatchNorm and one fully connected layer: 14,728,266 parameters."""
    features: list[nn.Module] = []
    depth = 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            features += _biased(depth, width, 3)
            depth = width
        features.append(nn.MaxPool2d(2))
    return Scored(nn.Sequential(*features), depth)


class Inception(nn.Module):
    """Four branches over the same volume, concatenated in depth; a 5x5 window is two of 3x3."""

    def __init__(self, depth: int, widths: tuple[int, ...]):
        super().__init__()
        one, before_three, three, before_five, five, after_pool = widths
        by_five = [*_biased(depth, before_five, 1), *_biased(before_five, five, 3)]
        pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.branches = nn.ModuleList(
            nn.Sequential(*branch)
            for branch in (
                _biased(depth, one, 1),
                [*_biased(depth, before_three, 1), *_biased(before_three, three, 3)],
                [*by_five, *_biased(five, five, 3)],
                [pool, *_biased(depth, after_pool, 1)],
            )
        )

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def googlenet() -> nn.Module:
    """GoogLeNet with BatchNorm: 6,166,250 parameters."""
    features, depth = _biased(3, 192, 3), 192
    for widths in INCEPTIONS:
        if widths is None:
            features.append(nn.MaxPool2d(3, stride=2, padding=1))
            continue
        features.append(Inception(depth, widths))
        depth = widths[0] + widths[2] + widths[4] + widths[5]
    return Scored(nn.Sequential(*features), depth)


def mobilenet() -> nn.Module:
    """MobileNet with a first stride of 1: 3,217,226 parameters."""
    features: list[nn.Module] = [conv_norm(3, 32, 3), nn.ReLU(inplace=True)]
    depth = 32
    for width, blocks, stride in ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)):
        for block in range(blocks):
            depthwise = conv_norm(depth, depth, 3, 1 if block else stride, groups=depth)
            features += [depthwise, nn.ReLU(inplace=True)]
            features += [conv_norm(depth, width, 1), nn.ReLU(inplace=True)]
            depth = width
    return Scored(nn.Sequential(*features), depth)


def resnext29_2x64d() -> nn.Module:
    """ResNeXt-29 2x64d with a 1x1 stem: 9,128,778 parameters."""
    features: list[nn.Module] = [conv_norm(3, 64, 1), nn.ReLU(inplace=True)]
    depth = 64
    for stage in range(3):
        for block in range(3):
            width = 128 * 2**stage
            stride = 2 if stage and not block else 1
            features.append(Bottleneck(depth, width, stride, expansion=2, groups=2))
            depth = 2 * width
    return Scored(nn.Sequential(*features), depth)

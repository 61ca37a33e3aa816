"""The two nets of the benchmark in PyTorch, f[B,3,H,W] -> f[B,10]."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn

EPSILON = 5e-4


class Airbench94(nn.Module):
    """The net of airbench94 (Jordan 2024, arXiv:2404.00498): 1,971,640 parameters.

    A frozen whitening layer of 2x2 patches, three groups that halve height and width, and the
    scores of the greatest values.
    """

    def __init__(self, widths: tuple[int, ...] = (64, 256, 256), num_classes: int = 10):
        super().__init__()
        depths = (24, *widths)
        self.stem = nn.Conv2d(3, depths[0], 2)
        self.stem.weight.requires_grad_(False)
        self.groups = nn.Sequential(*(Group(*pair) for pair in itertools.pairwise(depths)))
        self.head = nn.Linear(widths[-1], num_classes, bias=False)
        with torch.no_grad():
            self.head.weight /= self.head.weight.std()

    def forward(self, image):
        x = self.groups(F.gelu(self.stem(image)))
        x = F.max_pool2d(x, x.shape[-1]).flatten(1)
        return self.head(x) / self.head.in_features

    @torch.no_grad()
    def whiten(self, images) -> None:
        """Sets the first layer's filters from normalised images f32[N,3,H,W]."""
        self.stem.weight.copy_(whitening_filters(images))


class Group(nn.Module):
    """Convolution, pooling, BatchNorm, GELU; then the same at full depth without the pooling."""

    def __init__(self, depth: int, width: int):
        super().__init__()
        self.conv1, self.norm1 = _filters(depth, width), BiasNorm(width)
        self.conv2, self.norm2 = _filters(width, width), BiasNorm(width)

    def forward(self, x):
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class BiasNorm(nn.Module):
    """BatchNorm whose scale is fixed at 1; its running averages follow the last few steps."""

    def __init__(self, width: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, x):
        return F.batch_norm(
            x, self.mean, self.variance, self.scale, self.bias, self.training, 0.4, 1e-12
        )


def _filters(depth: int, width: int) -> nn.Conv2d:
    """3x3 filters, the first of which pass their channel through."""
    conv = nn.Conv2d(depth, width, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight.detach()[:depth])
    return conv


def whitening_filters(images, window: int = 2):
    """The eigenvectors of the images' patches, made of unit variance, and their negatives.

    f32[N,3,H,W] -> f32[2*3*window**2,3,window,window].
    """
    patches = F.unfold(images, window).transpose(1, 2).flatten(0, 1)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / (values + EPSILON).sqrt()).T.reshape(-1, 3, window, window)
    return torch.cat([filters, -filters])


class ResNet18(nn.Module):
    """ResNet-18 (He et al. 2015) with a 3x3 stem for small images: 11,173,962 parameters."""

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.stem = nn.Sequential(*_conv_norm(3, 64, 3, 1), nn.ReLU(inplace=True))
        blocks, depth = [], 64
        for stage in range(4):
            for place in range(2):
                width, stride = 64 * 2**stage, 2 if stage and not place else 1
                blocks.append(Block(depth, width, stride))
                depth = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(depth, num_classes)

    def forward(self, image):
        return self.head(self.blocks(self.stem(image)).mean((2, 3)))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected by 1x1 where the volume changes."""

    def __init__(self, depth: int, width: int, stride: int):
        super().__init__()
        self.residual = nn.Sequential(
            *_conv_norm(depth, width, 3, stride),
            nn.ReLU(inplace=True),
            *_conv_norm(width, width, 3, 1),
        )
        same = depth == width and stride == 1
        self.shortcut = nn.Sequential(*(() if same else _conv_norm(depth, width, 1, stride)))

    def forward(self, x):
        return F.relu(self.residual(x) + self.shortcut(x), inplace=True)


def _conv_norm(depth: int, width: int, window: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(depth, width, window, stride, padding=window // 2, bias=False)
    return conv, nn.BatchNorm2d(width)


def halve(net: nn.Module) -> None:
    """Brings the convolutions and the head to bfloat16; BatchNorm stays in float32."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.bfloat16()


def parameters(net: nn.Module) -> int:
    """The number of the net's parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in net.parameters())

"""A toy experiment in which every kind of field occurs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from flax import linen as nn


@dataclass(frozen=True)
class Augment:
    pass


@dataclass(frozen=True)
class Flip(Augment):
    """Mirrors images."""


@dataclass(frozen=True)
class Crop(Augment):
    """Crops images.

    Attributes:
      padding: Zero pixels on each side,
        before the crop.
    """

    padding: int = 4


@dataclass(frozen=True)
class Optimizer(ABC):
    """Any optimiser.

    Attributes:
      peak_lr: Highest learning rate.
      clip_norm: Largest gradient norm.
    """

    peak_lr: float
    clip_norm: float | None = None

    def __post_init__(self):
        if self.peak_lr <= 0:
            raise ValueError(f"peak_lr must be positive, got {self.peak_lr}")

    @abstractmethod
    def build(self): ...


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent.

    Attributes:
      momentum: Of the heavy ball.
      decay: What decays.
    """

    momentum: float = 0.9
    decay: Literal["all", "kernels"] = "all"

    def build(self):
        return self


@dataclass(frozen=True)
class Adam(Optimizer):
    betas: tuple[float, float] = (0.9, 0.999)

    def build(self):
        return self


class Loss(Protocol):
    def value(self, scores: Any) -> Any: ...


@dataclass(frozen=True)
class Softmax:
    smoothing: float = 0.0

    def value(self, scores):
        return scores


@dataclass(frozen=True)
class Hinge:
    margin: float = 1.0

    def value(self, scores):
        return scores

    def __post_init__(self):
        if self.margin <= 0:
            raise ValueError(f"margin must be positive, got {self.margin}")


class ResNet(nn.Module):
    """A toy residual net.

    Attributes:
      depth: Number of layers.
    """

    depth: int = 8
    width: int = 16
    padding: Literal["SAME", "VALID"] = "SAME"
    stages: tuple[int, ...] = (1, 2)
    num_classes: int | None = None
    dtype: Any = float

    @nn.compact
    def __call__(self, image, *, train):
        return image


def ResNet20(**keywords) -> ResNet:
    return ResNet(depth=20, **keywords)


class Wrapper(nn.Module):
    inner: nn.Module
    scale: float = 1.0


@dataclass(frozen=True)
class Average:
    decay: float = 0.999


@dataclass(frozen=True)
class Experiment:
    """One training run.

    Attributes:
      epochs: Passes over the training set.
      optimizer: How weights change.
    """

    model: nn.Module
    loss: Loss = Softmax()
    augment: tuple[Augment, ...] = ()
    optimizer: Optimizer = SGD(peak_lr=0.1)
    average: Average | None = None
    anything: Any = None
    epochs: int | float = 10
    warmup: int = 1
    title: str = ""
    keep_best: bool = False

    def __post_init__(self):
        if self.warmup > self.epochs:
            raise ValueError(f"warmup ({self.warmup}) must be at most epochs ({self.epochs})")


NAMES = {
    make.__name__: make
    for make in (
        Flip, Crop, SGD, Adam, Softmax, Hinge, ResNet, ResNet20, Wrapper, Average, Experiment
    )
}  # fmt: skip

BASE = Experiment(
    model=ResNet(width=32),
    loss=Softmax(smoothing=0.1),
    augment=(Crop(padding=2), Flip()),
    optimizer=SGD(peak_lr=0.1, momentum=0.8),
)

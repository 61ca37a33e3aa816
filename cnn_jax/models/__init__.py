"""ConvNets as Flax modules: `f32[B,H,W,C] -> f32[B,K]`, one family per file.

`num_classes=None` means as many as the data has; any image size works unless a docstring says so.
"""

from cnn_jax.models.airbench import Airbench, Airbench93, Airbench94, Airbench96
from cnn_jax.models.convnet import ConvNet
from cnn_jax.models.lenet import LeNet
from cnn_jax.models.mlp import MLP
from cnn_jax.models.quicknet import QuickNet
from cnn_jax.models.resnet import ResNet, ResNet20, ResNet32, ResNet44, ResNet56, ResNet110
from cnn_jax.models.resnet18 import ResNet18, ResNet34, StagedResNet

__all__ = [
    "MLP",
    "Airbench",
    "Airbench93",
    "Airbench94",
    "Airbench96",
    "ConvNet",
    "LeNet",
    "QuickNet",
    "ResNet",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet34",
    "ResNet44",
    "ResNet56",
    "ResNet110",
    "StagedResNet",
]

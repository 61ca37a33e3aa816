"""ConvNets as Flax modules `f32[B,H,W,C] -> f32[B,K]`, one family per file.

`num_classes=None` is replaced by the data's number of classes. Any image size works unless a
docstring says otherwise. Imports only `ops`, `ranges` and `runtime`.
"""

from cnn_jax.models.airbench import Airbench, Airbench93, Airbench94, Airbench96
from cnn_jax.models.alexnet import AlexNet
from cnn_jax.models.allcnn import AllCNN
from cnn_jax.models.convmixer import ConvMixer, ConvMixer256_8
from cnn_jax.models.convnet import ConvNet
from cnn_jax.models.convnext import ConvNeXt, ConvNeXtAtto, ConvNeXtTiny
from cnn_jax.models.densenet import (
    DenseNet,
    DenseNet121,
    DenseNetBC40_12,
    DenseNetBC100_12,
    DenseNetBC190_40,
)
from cnn_jax.models.googlenet import GoogLeNet
from cnn_jax.models.imagenet_alexnet import AlexNet2012, AlexNet2014
from cnn_jax.models.imagenet_googlenet import ImageNetGoogLeNet
from cnn_jax.models.imagenet_mobilenetv2 import ImageNetMobileNetV2
from cnn_jax.models.imagenet_vgg import (
    ImageNetVGG,
    ImageNetVGG11,
    ImageNetVGG13,
    ImageNetVGG16,
    ImageNetVGG19,
)
from cnn_jax.models.lenet import LeNet
from cnn_jax.models.mlp import MLP
from cnn_jax.models.mobilenet import MobileNet
from cnn_jax.models.mobilenetv2 import MobileNetV2
from cnn_jax.models.nin import NIN
from cnn_jax.models.preact_resnet import PreActResNet18, PreActResNet50, StagedPreActResNet
from cnn_jax.models.preact_resnet164 import PreActResNet, PreActResNet164
from cnn_jax.models.pyramidnet import PyramidNet, PyramidNet110_a84, PyramidNet272_a200
from cnn_jax.models.quicknet import QuickNet
from cnn_jax.models.resnet import ResNet, ResNet20, ResNet32, ResNet44, ResNet56, ResNet110
from cnn_jax.models.resnet18 import ResNet18, ResNet34, StagedResNet
from cnn_jax.models.resnet50 import BottleneckResNet, ResNet50, ResNet101, ResNet152
from cnn_jax.models.resnext import ResNeXt, ResNeXt29_2x64d, ResNeXt29_8x64d
from cnn_jax.models.senet import SEResNet, SEResNet18
from cnn_jax.models.shakeshake import ShakeShake, ShakeShake26_2x32d, ShakeShake26_2x96d
from cnn_jax.models.vgg import VGG, VGG11, VGG13, VGG16, VGG19
from cnn_jax.models.wideresnet import WRN16_4, WRN16_8, WRN28_10, WRN40_4, WideResNet
from cnn_jax.models.zfnet import ZFNet

__all__ = [
    "MLP",
    "NIN",
    "VGG",
    "VGG11",
    "VGG13",
    "VGG16",
    "VGG19",
    "WRN16_4",
    "WRN16_8",
    "WRN28_10",
    "WRN40_4",
    "Airbench",
    "Airbench93",
    "Airbench94",
    "Airbench96",
    "AlexNet",
    "AlexNet2012",
    "AlexNet2014",
    "AllCNN",
    "BottleneckResNet",
    "ConvMixer",
    "ConvMixer256_8",
    "ConvNeXt",
    "ConvNeXtAtto",
    "ConvNeXtTiny",
    "ConvNet",
    "DenseNet",
    "DenseNet121",
    "DenseNetBC40_12",
    "DenseNetBC100_12",
    "DenseNetBC190_40",
    "GoogLeNet",
    "ImageNetGoogLeNet",
    "ImageNetMobileNetV2",
    "ImageNetVGG",
    "ImageNetVGG11",
    "ImageNetVGG13",
    "ImageNetVGG16",
    "ImageNetVGG19",
    "LeNet",
    "MobileNet",
    "MobileNetV2",
    "PreActResNet",
    "PreActResNet18",
    "PreActResNet50",
    "PreActResNet164",
    "PyramidNet",
    "PyramidNet110_a84",
    "PyramidNet272_a200",
    "QuickNet",
    "ResNeXt",
    "ResNeXt29_2x64d",
    "ResNeXt29_8x64d",
    "ResNet",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet34",
    "ResNet44",
    "ResNet50",
    "ResNet56",
    "ResNet101",
    "ResNet110",
    "ResNet152",
    "SEResNet",
    "SEResNet18",
    "ShakeShake",
    "ShakeShake26_2x32d",
    "ShakeShake26_2x96d",
    "StagedPreActResNet",
    "StagedResNet",
    "WideResNet",
    "ZFNet",
]

"""A small modern ConvNet, in minutes on a few CPU cores.   python run.py

Published: none.

A frozen whitening layer, four 3x3 convolutions and Muon, as in airbench94 (Jordan 2024,
arXiv:2404.00498), reduced to 23 MFLOP per image. If CIFAR-10 cannot be downloaded, training falls
back to the built-in dataset `Shapes` and reports it.
"""

from cnn_jax.augment import AlternatingFlip, RandomCrop
from cnn_jax.data import Cifar10, FirstAvailable, Shapes
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import QuickNet
from cnn_jax.optim import Linear, Muon

experiment = Experiment(
    data=FirstAvailable((Cifar10(validation=2000), Shapes())),
    model=QuickNet(),
    loss=Softmax(label_smoothing=0.2),
    augment=(RandomCrop(padding=2, fill="reflect"), AlternatingFlip()),
    optimizer=Muon(peak_lr=0.12, bias_lr=53.0, head_lr=670.0),
    schedule=Linear(),
    batch_size=500,
    epochs=4,
    tta="mirror",
)

"""Shake-Shake 26 2x96d on CIFAR-10, as published.   python run.py --config=cifar10_shakeshake26

Published: 97.14 % (Gastaldi 2017, arXiv:1705.07485).

All 50,000 training images, 1,800 epochs of SGD with Nesterov momentum, a cosine schedule from 0.2
to 0, coupled weight decay on all parameters.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import ShakeShake26_2x96d
from cnn_jax.optim import SGD, Cosine

experiment = Experiment(
    data=Cifar10(validation=0),
    model=ShakeShake26_2x96d(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4), Flip()),
    optimizer=SGD(peak_lr=0.2, per_batch=128, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=Cosine(),
    batch_size=128,
    epochs=1_800,
)

"""ResNet-20 on CIFAR-10, as published.   python run.py --config=cifar10_resnet20

Published: 91.25 % (He et al. 2015, arXiv:1512.03385, table 6).

All 50,000 training images, 64,000 steps of 128, learning rate 0.1 divided by 10 at 32,000 and
48,000, coupled weight decay 1e-4 on all parameters.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import ResNet20
from cnn_jax.optim import SGD, MultiStep

experiment = Experiment(
    data=Cifar10(validation=0),
    model=ResNet20(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4), Flip()),
    optimizer=SGD(peak_lr=0.1, per_batch=128, momentum=0.9, weight_decay=1e-4),
    schedule=MultiStep(milestones=(0.5, 0.75), gamma=0.1),
    batch_size=128,
    epochs=64_000 / 390,
)

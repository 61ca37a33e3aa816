"""ResNeXt-29 8x64d on CIFAR-10, as published.   python run.py --config=cifar10_resnext29

Published: 96.35 % (Xie et al. 2017, arXiv:1611.05431).

All 50,000 training images, 300 epochs of SGD with Nesterov momentum, the rate divided by 10 after
150 and 225, coupled weight decay on all parameters. Blocks and batch size are those of the authors'
code, which they report to be better than those of the paper.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import ResNeXt29_8x64d
from cnn_jax.optim import SGD, MultiStep

experiment = Experiment(
    data=Cifar10(validation=0),
    model=ResNeXt29_8x64d(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4), Flip()),
    optimizer=SGD(peak_lr=0.1, per_batch=128, momentum=0.9, nesterov=True, weight_decay=5e-4),
    schedule=MultiStep(milestones=(0.5, 0.75), gamma=0.1),
    batch_size=128,
    epochs=300,
)

"""Network in Network on CIFAR-10.   python run.py --config=cifar10_nin

Published: 91.19 % (Lin et al. 2013, arXiv:1312.4400, table 1).

All 50,000 training images, batches of 128, the learning rate divided by 10 twice, crops padded by 4
pixels and flips. The publication also whitens the images, lowers the rate when the training
accuracy stops improving, and leaves other settings open. These follow later reimplementations
(weight decay 1e-4, 320 epochs), except for the learning rate: they use 0.1, twice that for biases
and a tenth of it for the last layer; this recipe uses one rate for all.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import NIN
from cnn_jax.optim import SGD, MultiStep

experiment = Experiment(
    data=Cifar10(validation=0),
    model=NIN(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4), Flip()),
    optimizer=SGD(peak_lr=0.05, per_batch=128, momentum=0.9, weight_decay=1e-4),
    schedule=MultiStep(milestones=(0.5, 0.75), gamma=0.1),
    batch_size=128,
    epochs=320,
)

"""Network in Network on CIFAR-10.   python run.py --config=cifar10_nin

Published: 91.19 % (Lin et al. 2013, arXiv:1312.4400, table 1).

All 50,000 training images, batches of 128, a learning rate that falls twice to a tenth, crops of
images padded by 4 pixels and mirror images. The publication whitens the images first, lowers the
rate where training accuracy stands still, and does not say the rest. That is as its later
reimplementations have it (weight decay 1e-4, 320 epochs), but for the rate: theirs is 0.1, twice
that for biases and a tenth for the last layer; here it is one for all.
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

"""GoogLeNet with BatchNorm on CIFAR-10.   python run.py --config=cifar10_googlenet

Published: none that we could verify.

All 50,000 training images, 200 epochs of SGD with a cosine schedule and coupled weight decay.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import GoogLeNet
from cnn_jax.optim import SGD, Cosine

experiment = Experiment(
    data=Cifar10(validation=0),
    model=GoogLeNet(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4), Flip()),
    optimizer=SGD(peak_lr=0.1, per_batch=128, momentum=0.9, weight_decay=5e-4),
    schedule=Cosine(),
    batch_size=128,
    epochs=200,
)

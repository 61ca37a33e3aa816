"""DenseNet-BC-40-12 on CIFAR-10 in 3 epochs.

    python run.py --config=cifar10_densenet_bc40_12_short

Published: none.

cifar10_densenet_bc40_12 takes 300 epochs of batches of 64. This one takes batches of 128, with
the rate in proportion: it rises for one epoch and then falls to zero in a line, as is usual for
short runs. Nothing was tuned.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import DenseNetBC40_12
from cnn_jax.optim import SGD, Linear

experiment = Experiment(
    data=Cifar10(validation=0),
    model=DenseNetBC40_12(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4), Flip()),
    optimizer=SGD(peak_lr=0.2, per_batch=128, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=Linear(warmup=1),
    batch_size=128,
    epochs=3,
)

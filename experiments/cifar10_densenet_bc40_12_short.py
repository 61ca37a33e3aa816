"""DenseNet-BC-40-12 on CIFAR-10 in 3 epochs.

    python run.py --config=cifar10_densenet_bc40_12_short

Published: none.

cifar10_densenet_bc40_12 trains 300 epochs in batches of 64. This recipe uses batches of 128 with
twice the learning rate, one epoch of warm-up and linear decay to zero, as is usual for short runs.
It is not tuned.
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

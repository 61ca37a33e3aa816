"""LeNet-5 on CIFAR-10.   python run.py --config=cifar10_lenet

Published: none that we could verify.

Two 5x5 convolutions and three fully connected layers: 62,006 parameters. The learning rate is the
best of 0.0005, 0.001, 0.002, 0.004 and 0.008 on the validation set, in runs of two epochs.
"""

from cnn_jax.augment import Flip
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import LeNet
from cnn_jax.optim import AdamW, Cosine

experiment = Experiment(
    data=Cifar10(),
    model=LeNet(),
    loss=Softmax(),
    augment=(Flip(),),
    optimizer=AdamW(peak_lr=0.004, per_batch=64),
    schedule=Cosine(),
    batch_size=64,
    epochs=6,
)

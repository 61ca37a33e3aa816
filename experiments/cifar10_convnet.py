"""The ConvNet of docs/lesson.md on CIFAR-10.   python run.py --config=cifar10_convnet

Published: none.

INPUT - [CONV - RELU - CONV - RELU - POOL]x3 - FC - RELU - FC with the softmax loss. The learning
rate is the best of 0.001, 0.002 and 0.004 on the validation set, in runs of two epochs.
"""

from cnn_jax.augment import Flip
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import ConvNet
from cnn_jax.optim import AdamW, Cosine

experiment = Experiment(
    data=Cifar10(),
    model=ConvNet(),
    loss=Softmax(),
    augment=(Flip(),),
    optimizer=AdamW(peak_lr=0.002, per_batch=64),
    schedule=Cosine(),
    batch_size=64,
    epochs=6,
)

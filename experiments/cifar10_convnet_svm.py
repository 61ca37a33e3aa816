"""The ConvNet of docs/lesson.md with the SVM loss.   python run.py --config=cifar10_convnet_svm

Published: none.

INPUT - [CONV - RELU - CONV - RELU - POOL]x3 - FC - RELU - FC with the multiclass hinge loss.
The learning rate is the best of 0.0005, 0.001, 0.002 and 0.004 on the validation set, in runs of
two epochs.
"""

from cnn_jax.augment import Flip
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import MulticlassHinge
from cnn_jax.models import ConvNet
from cnn_jax.optim import AdamW, Cosine

experiment = Experiment(
    data=Cifar10(),
    model=ConvNet(),
    loss=MulticlassHinge(),
    augment=(Flip(),),
    optimizer=AdamW(peak_lr=0.002, per_batch=64),
    schedule=Cosine(),
    batch_size=64,
    epochs=6,
)

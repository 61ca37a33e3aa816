"""The lesson's ConvNet with the SVM loss.   python run.py --config=cifar10_convnet_svm

Published: none for this setting.   Measured: see results/.

INPUT - [CONV - RELU - CONV - RELU - POOL]x3 - FC - RELU - FC with the multiclass hinge. The
learning rate is the best of 0.003, 0.01 and 0.03 on validation.
"""

from cnn_jax.augment import Flip
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import MulticlassHinge
from cnn_jax.models import ConvNet
from cnn_jax.optim import SGD, Cosine

experiment = Experiment(
    data=Cifar10(),
    model=ConvNet(),
    loss=MulticlassHinge(),
    augment=(Flip(),),
    optimizer=SGD(peak_lr=0.01, per_batch=128, momentum=0.9),
    schedule=Cosine(),
    batch_size=128,
    epochs=8,
)

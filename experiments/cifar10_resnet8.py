"""ResNet-8 on CIFAR-10, in minutes on a few CPU cores.   python run.py --config=cifar10_resnet8

Published: none.   Measured: see docs/tricks.md.

The smallest net of the ResNet-20 family (He et al. 2015, arXiv:1512.03385) on 20,000 training
images. benchmarks/tricks.py uses it to compare common training tricks for docs/tricks.md. It is not
tuned.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import ResNet
from cnn_jax.optim import SGD, Linear

experiment = Experiment(
    data=Cifar10(train=20_000),
    model=ResNet(depth=8),
    loss=Softmax(),
    augment=(RandomCrop(padding=4), Flip()),
    optimizer=SGD(peak_lr=0.4, per_batch=256, momentum=0.9, nesterov=True, weight_decay=5e-4),
    schedule=Linear(warmup=1),
    batch_size=256,
    epochs=6,
)
